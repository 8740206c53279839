"""The program of one member of a group: `python -m sightsmith_training.engine.distribution.member FOLDER PARENT`.

It is started by torch's launcher, which tells it in its environment which member it is.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from sightsmith_training.engine.distribution.devices import find_devices
from sightsmith_training.engine.distribution.failures import let_training_errors_travel
from sightsmith_training.engine.distribution.groups import ANSWER, ERROR, PROGRESS, WORK
from sightsmith_training.engine.distribution.parcels import read_parcel, write_parcel
from sightsmith_training.engine.errors import TrainingError

_PARENT_GONE = 3
_SECONDS_BETWEEN_LOOKS = 0.5
# A member that waits so long for the others waits for the dead.
_PATIENCE = timedelta(minutes=10)


def main(folder: Path, parent: int) -> None:
    """Joins the group, does the work, and leaves what came of it in the folder."""
    _end_with(parent)
    let_training_errors_travel()
    is_first = os.environ["RANK"] == "0"
    work, arguments = read_parcel(folder / WORK)
    try:
        answer = _work_together(work, arguments, partial(_tell, folder) if is_first else _ignore)
        if is_first:
            write_parcel(folder / ANSWER, answer)
    except Exception as error:
        _leave(folder / ERROR, error)
        # That one would be the same the next time: to the launcher it is an end like any other.
        if not isinstance(error, TrainingError):
            raise


def _work_together(work: Callable[..., Any], arguments: tuple[Any, ...], advance: Callable[..., None]) -> Any:
    torch.set_num_threads(1)
    gpus = find_devices().gpus
    if gpus:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % gpus)
    distributed.init_process_group("nccl" if gpus else "gloo", timeout=_PATIENCE)
    try:
        return work(*arguments, advance=advance)
    finally:
        distributed.destroy_process_group()


def _tell(folder: Path, *told: object) -> None:
    write_parcel(folder / PROGRESS, told)


def _ignore(*told: object) -> None:
    """One member's word is enough."""


def _leave(file: Path, error: Exception) -> None:
    """What fails first is the cause; what the others then say of a lost member is not."""
    with contextlib.suppress(Exception):  # Some errors cannot be pickled: the launcher then tells of the failure.
        if not file.exists():
            write_parcel(file, error)


def _end_with(parent: int) -> None:
    """Ends this process when the one that started it is gone, even in the middle of a step."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        os._exit(_PARENT_GONE)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
