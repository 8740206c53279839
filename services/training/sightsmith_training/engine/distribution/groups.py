"""Groups of processes on this machine that train one network together.

They are started and watched by torch's elastic launcher, the one behind `torchrun`.
"""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from uuid import uuid4

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from sightsmith_training.engine.distribution.parcels import read_parcel, write_parcel

WORK, ANSWER, ERROR, PROGRESS = "work.pickle", "answer.pickle", "error.pickle", "progress.pickle"
"""The files by which a group and the process that started it speak to each other."""

_TRIES = 3
_SECONDS_BETWEEN_LOOKS = 0.2

Result = TypeVar("Result")


def run_in_group(
    members: int, work: Callable[..., Result], *arguments: Any, advance: Callable[..., None] = lambda *told: None
) -> Result:
    """Lets several processes do the same work together, and gives what the first of them returned.

    Each member joins a group of `torch.distributed` before it begins, over NCCL with a GPU for each, over Gloo without.
    If one breaks off, all begin anew, a few times; work with a checkpoint then goes on from there.

    Args:
        members: how many processes.
        work: a function of a module. It takes the arguments and, by name, an `advance` of its own.
        arguments: they must be picklable.
        advance: called with what the first member calls its own with.

    Raises:
        Exception: what the work raised in the first member that failed, if it can be told; RuntimeError otherwise.
    """
    with TemporaryDirectory(prefix="group-") as name:
        folder = Path(name)
        write_parcel(folder / WORK, (work, arguments))
        # In a thread of its own: in the main thread the launcher would take over this process's signals for good.
        with ThreadPoolExecutor(1) as pool:
            launched = pool.submit(_launch_repeatedly, members, folder)
            while wait([launched], _SECONDS_BETWEEN_LOOKS).not_done:
                if (folder / PROGRESS).exists():
                    advance(*read_parcel(folder / PROGRESS))
            launched.result()
        if not (folder / ANSWER).exists():
            raise read_parcel(folder / ERROR)
        answer: Result = read_parcel(folder / ANSWER)
        return answer


def _launch_repeatedly(members: int, folder: Path) -> None:
    """Launches a new group for one that broke off; the launcher's own restarts at times left members waiting."""
    for left in reversed(range(_TRIES)):
        try:
            return _launch(members, folder)
        except ChildFailedError as error:
            if not left:
                raise _reason(members, folder) from error
            (folder / ERROR).unlink(missing_ok=True)
    return None


def _reason(members: int, folder: Path) -> Exception:
    if (folder / ERROR).exists():
        reason: Exception = read_parcel(folder / ERROR)
        return reason
    return RuntimeError(f"{members} processes that trained together broke off")


def _launch(members: int, folder: Path) -> None:
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=members,
        run_id=uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        monitor_interval=_SECONDS_BETWEEN_LOOKS,
        logs_specs=DefaultLogsSpecs(log_dir=str(folder)),
    )
    program = ("-m", "sightsmith_training.engine.distribution.member", str(folder), str(os.getpid()))
    elastic_launch(config, sys.executable)(*program)
