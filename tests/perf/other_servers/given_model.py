"""What every server is told by its environment: which model to open, and how many cores there are."""

import os
from pathlib import Path

from tests.perf.ceiling import InProcess

CORES = int(os.environ["BENCH_CORES"])


def open_model() -> InProcess:
    """The model that all are compared with, for one core: decoding and model are those of the ceiling."""
    return InProcess(Path(os.environ["BENCH_MODEL"]).read_bytes(), int(os.environ["BENCH_IMAGE_SIDE"]), 1)
