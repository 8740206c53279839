"""What a stack's processes have taken of the processors: unlike wall time, it tells much the same on a busy machine."""

import os
from contextlib import suppress
from pathlib import Path

from sightsmith.stack.data_folder import DataFolder
from sightsmith.stack.leftovers import stack_processes

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# Places behind the name in /proc/PID/stat (proc(5)): the process's own user and system time, and that of its children
# that have ended.
_TIMES = slice(11, 15)
_PARENT = 1


def processor_seconds(data_dir: Path) -> float:
    """Processor seconds of all processes of the stack in a data folder, of those that have ended too."""
    stats = _stats()
    # PostgreSQL's own processes are known by their parent alone.
    ours = set(stack_processes(DataFolder(data_dir)))
    ours |= {pid for pid, fields in stats.items() if int(fields[_PARENT]) in ours}
    return sum(sum(map(int, stats[pid][_TIMES])) for pid in ours & stats.keys()) / _TICKS_PER_SECOND


def _stats() -> dict[int, list[str]]:
    """What the kernel tells of each process that lives, by its id."""
    stats = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            # The name stands in brackets and may hold anything, brackets too.
            stats[int(folder.name)] = (folder / "stat").read_text().rpartition(")")[2].split()
    return stats
