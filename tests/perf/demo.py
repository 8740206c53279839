"""Part `demo`: how long `sightsmith demo` takes, from the command to its end."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.perf.figures import Measured


def measure(photos: Path) -> Measured:
    """Runs the demo as a user does, on photographs that are there already; its progress goes to standard error."""
    command = str(Path(sys.executable).with_name("sightsmith"))
    with tempfile.TemporaryDirectory(prefix="sightsmith-bench-demo-") as report:
        begin = time.monotonic()
        subprocess.run([command, "demo", "--data", photos, "--report", report], stdout=sys.stderr, check=True)
        return {"demo.total_seconds": time.monotonic() - begin}
