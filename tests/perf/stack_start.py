"""Part `stack`: how long it takes until every process answers."""

import time

from sightsmith.stack.stack import Stack
from tests.perf.figures import Measured
from tests.perf.progress import tell
from tests.perf.workplace import new_stack


def measure() -> Measured:
    """Starts a stack in an empty data folder, stops it, and starts it again in the same one."""
    with new_stack() as stack:
        tell("starting a stack in an empty folder")
        start_seconds = _seconds_to_start(stack)
        tell("starting it again")
        return {"stack.start_seconds": start_seconds, "stack.restart_seconds": _seconds_to_start(stack)}


def _seconds_to_start(stack: Stack) -> float:
    begin = time.monotonic()
    with stack:
        return time.monotonic() - begin
