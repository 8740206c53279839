"""Real servers for the tests of the stack, started once."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sightsmith.stack import Stack, StackSettings

SERVERS = ("postgres", "nats", "triton")


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data folder of its own. Not under `tmp_path`, which is closed to PostgreSQL's user when root runs the tests."""
    yield from _temporary_folder()


@pytest.fixture(scope="session")
def shared_data_dir() -> Iterator[Path]:
    yield from _temporary_folder()


@pytest.fixture(scope="session")
def stack(shared_data_dir: Path) -> Iterator[Stack]:
    """The three servers, ready, on free ports."""
    with Stack(StackSettings(data_dir=shared_data_dir, free_ports=True), parts=SERVERS) as stack:
        yield stack


def _temporary_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="sightsmith-test-"))
    yield folder
    shutil.rmtree(folder)
