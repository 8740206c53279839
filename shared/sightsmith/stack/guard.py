"""Ends a stack whose owner was killed: `python -m sightsmith.stack.guard DATA_DIR OWNER_PID OWNER_START_TIME`.

It runs under the stack's supervisor and watches two processes: the one that started the stack, and the supervisor
itself. A death signal set at the fork would not do: it is sent when the *thread* that forked ends.
"""

import os
import select
import signal
import sys
from pathlib import Path

from sightsmith.stack import processes
from sightsmith.stack.data_folder import DataFolder
from sightsmith.stack.leftovers import MARKER, end_leftovers


def watch(folder: DataFolder, owner: int, owner_start_time: int) -> None:
    """Returns when the supervisor is gone, with all that it had started.

    When the owner ends first, the supervisor is asked to stop everything in order, this process last.
    """
    supervisor = os.getppid()
    supervisor_end = os.pidfd_open(supervisor)
    # Where the supervisor died before this line, the parent is a stranger, and must not be signalled.
    if processes.environment(supervisor).get(MARKER) == str(folder.path):
        owner_end = _open(owner, owner_start_time)
        if owner_end is None or owner_end in _first_to_end(owner_end, supervisor_end):
            processes.send(supervisor, signal.SIGTERM)
            _first_to_end(supervisor_end)
    end_leftovers(folder)


def _open(pid: int, start_time: int) -> int | None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    # Checked after opening: the descriptor stays with the process that has this start time.
    return descriptor if processes.start_time(pid) == start_time else None


def _first_to_end(*descriptors: int) -> set[int]:
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _ in poll.poll()}


if __name__ == "__main__":
    watch(DataFolder(Path(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3]))
