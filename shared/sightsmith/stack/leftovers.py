"""Ends what an earlier stack left behind when it was killed rather than stopped."""

import shutil
import signal
from pathlib import Path

from sightsmith.stack import processes
from sightsmith.stack.data_folder import DataFolder
from sightsmith.stack.processes import send, wait_ended

# Every process of a stack carries the data folder in this variable, and hands it on to its own children.
MARKER = "SIGHTSMITH_STACK_OF"

_ORDERLY_SECONDS = 20.0
_FORCED_SECONDS = 5.0


def stack_processes(folder: DataFolder) -> list[int]:
    """The living processes of the stack in this data folder, whoever started it."""
    marker = str(folder.path)
    postmaster = running_postmaster(folder.postgres)
    # PostgreSQL writes over its environment, so that it is known by its own pid file instead.
    return processes.find(lambda pid: pid == postmaster or processes.environment(pid).get(MARKER) == marker)


def running_postmaster(cluster: Path) -> int | None:
    """The process that serves a database cluster, from the cluster's `postmaster.pid`; None if it does not run."""
    try:
        pid = int((cluster / "postmaster.pid").read_text().splitlines()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return None
    return pid if str(cluster) in processes.command_line(pid) else None


def end_leftovers(folder: DataFolder) -> None:
    """Ends every process of the stack in this data folder, orderly where they listen, and clears what they held."""
    # A supervisor that still lives would start the others again; asked to stop, it stops them in the right order.
    supervisors = [pid for pid in stack_processes(folder) if "SUPERVISOR_ENABLED" not in processes.environment(pid)]
    supervisors = [pid for pid in supervisors if pid != running_postmaster(folder.postgres)]
    if supervisors:
        _signal(folder, supervisors, signal.SIGTERM)
        wait_ended(stack_processes(folder), _ORDERLY_SECONDS)
    for number in (signal.SIGTERM, signal.SIGKILL):
        remaining = stack_processes(folder)
        _signal(folder, remaining, number)
        wait_ended(remaining, _FORCED_SECONDS)
    _clear(folder)


def _signal(folder: DataFolder, pids: list[int], number: signal.Signals) -> None:
    postmaster = running_postmaster(folder.postgres)
    for pid in pids:
        # PostgreSQL takes SIGTERM as "when the last client has left"; SIGINT ends the sessions first.
        fast_shutdown = pid == postmaster and number == signal.SIGTERM
        send(pid, signal.SIGINT if fast_shutdown else number)


def _clear(folder: DataFolder) -> None:
    # A pid that is in use again by a stranger would keep PostgreSQL from starting.
    (folder.postgres / "postmaster.pid").unlink(missing_ok=True)
    folder.endpoints.unlink(missing_ok=True)
    shutil.rmtree(folder.run, ignore_errors=True)
    for region in Path("/dev/shm").glob(f"{folder.key}*"):  # noqa: S108 - Triton's shared memory lives nowhere else
        region.unlink(missing_ok=True)
