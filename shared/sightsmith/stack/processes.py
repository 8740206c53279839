"""What the kernel knows of processes: who is alive, and who belongs to a stack (Linux, `/proc`)."""

import os
import signal
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

_STOPPED_STATES = ("Z", "X")
_POLL_SECONDS = 0.05


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None where no such process lives.

    With the pid it names a process for good: a pid alone is used again.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name stands in brackets and may itself hold spaces and brackets. Fields: proc_pid_stat(5).
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in _STOPPED_STATES else int(fields[19])


def is_alive(pid: int) -> bool:
    """Whether a process lives; one that ended and was not yet waited for does not."""
    return start_time(pid) is not None


def environment(pid: int) -> dict[str, str]:
    """The environment that a process was started with; empty where it cannot be read."""
    pairs = (entry.partition("=") for entry in _read_list(pid, "environ"))
    return {name: value for name, _, value in pairs}


def command_line(pid: int) -> list[str]:
    """The arguments of a process; empty where they cannot be read."""
    return _read_list(pid, "cmdline")


def find(belongs: Callable[[int], bool]) -> list[int]:
    """The living processes, other than this one, for which `belongs` holds."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
    return [pid for pid in pids if pid != os.getpid() and is_alive(pid) and belongs(pid)]


def send(pid: int, number: signal.Signals) -> None:
    """Sends a signal to a process that may be gone already."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def wait_ended(pids: Collection[int], seconds: float) -> list[int]:
    """Waits until all have ended, at most `seconds`; returns those that still live."""
    deadline = time.monotonic() + seconds
    while (alive := [pid for pid in pids if is_alive(pid)]) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return alive


def _read_list(pid: int, name: str) -> list[str]:
    try:
        content = Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return []
    return [os.fsdecode(entry) for entry in content.split(b"\0") if entry]
