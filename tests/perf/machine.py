"""The machine that the figures are of."""

import json
import os
import time

from tests.perf.figures import Measured

_ROUNDS = 20
_RECORDS = [{"id": number, "name": f"image {number}", "share": number / 7} for number in range(5000)]


def measure() -> Measured:
    """How many cores there are, how busy they are, and how fast one is today."""
    return {
        "machine.cores": len(os.sched_getaffinity(0)),
        "machine.load_average": os.getloadavg()[0],
        "machine.reference_ms": 1000 * min(_reference() for _ in range(_ROUNDS)),
    }


def _reference() -> float:
    """Seconds of a fixed piece of work of the interpreter."""
    begin = time.perf_counter()
    json.loads(json.dumps(_RECORDS))
    return time.perf_counter() - begin
