"""Child processes that download into a folder: watched from outside, and ended when they take too much or too long.

Each registry and hub has a client that knows its settings: proxies, certificates, mirrors, tokens. Those clients
download; how far they are shows in the size of what they have written.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sightsmith_training.weights.errors import WeightsError
from sightsmith_training.weights.settings import WeightsSettings

Advance = Callable[[int, int | None], None]
"""Is told how many bytes are here, and of how many if that is known."""

_LOOK_SECONDS = 0.2
_SHOWN_OF_ERRORS = 1000


@dataclass(frozen=True)
class Limits:
    """When a download is given up.

    Attributes:
        seconds: for all of it.
        quiet_seconds: without a byte more.
        size: in bytes, of everything that is written.
    """

    seconds: float
    quiet_seconds: float
    size: int

    @classmethod
    def of(cls, settings: WeightsSettings) -> "Limits":
        """The limits that the settings give."""
        return cls(settings.fetch_seconds, settings.fetch_quiet_seconds, settings.max_fetch_bytes)


def run_watched(
    command: Sequence[str],
    folder: Path,
    limits: Limits,
    watch: Callable[[int], None] = lambda written: None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Runs a program that writes into a folder.

    Args:
        command: the program and its arguments.
        folder: an empty folder, in which it is started.
        limits: when it is ended.
        watch: called now and then with the bytes written so far.
        environment: variables beside those of this process.

    Returns:
        What it printed.

    Raises:
        WeightsError: with the end of its error output, if it fails; or naming the limit that it passed.
    """
    printed, errors = folder / "printed.log", folder / "errors.log"
    with printed.open("wb") as out, errors.open("wb") as err:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env={**os.environ, **(environment or {})},
            start_new_session=True,  # So that what it starts ends with it.
        )
        try:
            _wait(process, folder, limits, watch)
        finally:
            _end(process)
    if process.returncode:
        raise WeightsError(errors.read_text(errors="replace").strip()[-_SHOWN_OF_ERRORS:])
    return printed.read_text(errors="replace")


def _wait(process: subprocess.Popen[bytes], folder: Path, limits: Limits, watch: Callable[[int], None]) -> None:
    begin = last_change = time.monotonic()
    last_size = 0
    while True:
        try:
            process.wait(_LOOK_SECONDS)
            return
        except subprocess.TimeoutExpired:
            size, now = _size_of(folder), time.monotonic()
        if size != last_size:
            last_size, last_change = size, now
            watch(size)
        if size > limits.size:
            raise WeightsError(f"the download was ended: it is larger than {limits.size} bytes")
        if now - begin > limits.seconds:
            raise WeightsError(f"the download was ended: it took longer than {limits.seconds:.0f} s")
        if now - last_change > limits.quiet_seconds:
            raise WeightsError(f"the download was ended: nothing came for {limits.quiet_seconds:.0f} s")


def _size_of(folder: Path) -> int:
    size = 0
    for file in folder.rglob("*"):
        try:
            size += file.lstat().st_size
        except FileNotFoundError:
            continue  # The program has just renamed it.
    return size


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
