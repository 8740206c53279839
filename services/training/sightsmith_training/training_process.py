"""The child process in which a training runs. It has torch and no gRPC; this side has gRPC and no torch."""

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

from sightsmith_training.engine.contract import MESSAGE, Failure, Progress, TrainingResult, TrainingSpec

_TERMINATE_SECONDS = 3.0
# A result carries every score of every judged image in one line.
_MAX_LINE_BYTES = 256 * 1024 * 1024
_LOG_TAIL = 2000


class TrainingProcessKilledError(Exception):
    """Somebody, or the kernel for want of memory, killed the process: nothing is known of the training itself."""


class TrainingProcess:
    """A training in a child process; end it with `close` whatever happens."""

    def __init__(self, process: Process, log: Path) -> None:
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @classmethod
    async def start(cls, spec: TrainingSpec, folder: Path) -> "TrainingProcess":
        """Starts a training.

        Args:
            spec: what to train.
            folder: for the specification and the process's log.
        """
        spec_file, log = folder / "spec.json", folder / "engine.log"
        spec_file.write_text(spec.model_dump_json())
        with log.open("ab") as log_file:
            # The child watches its standard input and ends when this process does.
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "sightsmith_training.engine", str(spec_file)),
                stdin=PIPE,
                stdout=PIPE,
                stderr=log_file,
                # torch leaves folders behind wherever it is imported.
                env={**os.environ, "TMPDIR": str(folder)},
                limit=_MAX_LINE_BYTES,
                start_new_session=True,
            )
        return cls(process, log)

    async def messages(self) -> AsyncIterator[Progress | Failure | TrainingResult]:
        """What the training says, up to its result or failure. A process that ends without either has failed.

        Raises:
            TrainingProcessKilledError: if it was killed.
        """
        assert self._process.stdout is not None  # noqa: S101 - it was opened as a pipe
        async for line in self._process.stdout:
            message = MESSAGE.validate_json(line)
            yield message
            if not isinstance(message, Progress):
                return
        code = await self._process.wait()
        if code < 0:
            raise TrainingProcessKilledError(f"the training process was killed by signal {-code}")
        tail = self._log.read_text(errors="replace")[-_LOG_TAIL:]
        yield Failure(
            reason="TRAINING_FAILED",
            message=f"the training process ended with exit code {code} and without a result",
            metadata={"log": tail},
        )

    async def close(self) -> None:
        """Ends the process if it still runs."""
        if self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), _TERMINATE_SECONDS)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
