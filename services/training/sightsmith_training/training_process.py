"""The child process in which a training runs. It has torch and no gRPC; this side has gRPC and no torch."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

from sightsmith.logs import get_logger
from sightsmith_training.engine.contract import MESSAGE, Failure, Finished, Progress
from sightsmith_training.engine.faults import says_out_of_memory, told_of_log
from sightsmith_training.engine.result_file import Outcome, read_result
from sightsmith_training.engine.specification import EngineSpec
from sightsmith_training.work_folders import process_folder

# With the second between two heartbeats, much less than the five in which a job is to be cancelled.
_TERMINATE_SECONDS = 2.0
# A failure names every image that is of no use in one line; a result is a file.
_MAX_LINE_BYTES = 64 * 1024 * 1024
# Of all processes of the machine, also those of containers: proc(5).
_KERNEL_COUNTERS = Path("/proc/vmstat")
# What a process does to itself by a fault; the next attempt would do the same.
_CRASHES = {signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV}
_LOG = "engine.log"
_LOG_TAIL = 8000

_log = get_logger(__name__)


class TrainingProcessKilledError(Exception):
    """Somebody, or the kernel for want of memory, killed the process: nothing is known of the training itself."""


class TrainingProcess:
    """A child process for one training; end it with `close` whatever happens."""

    def __init__(self, process: Process, folder: Path, own: contextlib.ExitStack) -> None:
        """Takes a process that was started.

        Args:
            process: that was started.
            folder: its own files are there.
            own: what goes with the process: the folder.
        """
        self._process = process
        self._folder = folder
        self._own = own
        self._killed_before = 0

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.returncode is None

    @classmethod
    async def start(cls, folder: Path) -> "TrainingProcess":
        """Starts a process, which loads its libraries while it waits for `begin`.

        Args:
            folder: where there is one made for the process's own files; it is removed by `close`.

        Raises:
            OSError: if it cannot be made.
        """
        with contextlib.ExitStack() as stack:
            own = stack.enter_context(process_folder(folder, "engine"))
            with (own / _LOG).open("ab") as log:
                # The child watches its standard input and ends when this process does.
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "sightsmith_training.engine"),
                    stdin=PIPE,
                    stdout=PIPE,
                    stderr=log,
                    # torch leaves folders behind wherever it is imported.
                    env={**os.environ, "TMPDIR": str(own)},
                    limit=_MAX_LINE_BYTES,
                    start_new_session=True,
                )
            return cls(process, own, stack.pop_all())

    def begin(self, spec: EngineSpec) -> None:
        """Lets the process work. It is to be done once; what comes of it tells `messages`."""
        assert self._process.stdin is not None  # noqa: S101 - it was opened as a pipe
        # Counted from here: what the kernel ended while this process waited says nothing of the training.
        self._killed_before = processes_killed_for_memory()
        spec_file = self._folder / "spec.json"
        spec_file.write_text(spec.model_dump_json())
        self._process.stdin.write(os.fsencode(spec_file) + b"\n")

    async def messages(self, max_silence_seconds: float) -> AsyncIterator[Progress | Outcome | Failure]:
        """What the training says, up to its result or failure.

        A process that ends without either has failed, and so has one that says nothing for longer than it may.

        Raises:
            TrainingProcessKilledError: if it was killed.
        """
        assert self._process.stdout is not None  # noqa: S101 - it was opened as a pipe
        while True:
            try:
                line = await asyncio.wait_for(self._process.stdout.readline(), max_silence_seconds)
            except TimeoutError:
                said = f"the training process said nothing for {max_silence_seconds:g} s and was ended"
                yield Failure(reason="TRAINING_FAILED", message=said)
                return
            if not line:
                break
            message = MESSAGE.validate_json(line)
            if isinstance(message, Finished):
                # However long it is: the hearts of all jobs beat in this thread.
                yield await asyncio.to_thread(read_result, message.path)
                return
            if isinstance(message, Failure):
                self._log_tail()
            yield message
            if not isinstance(message, Progress):
                return
        code = await self._process.wait()
        if code == -signal.SIGKILL and processes_killed_for_memory() > self._killed_before:
            yield Failure(
                reason="OUT_OF_MEMORY",
                message="the system ended the training because there was no memory left; use a machine with more",
            )
            return
        if code < 0 and -code not in _CRASHES:
            raise TrainingProcessKilledError(f"the training process was killed by signal {-code}")
        tail = self._log_tail()
        how = f"crashed ({signal.Signals(-code).name})" if code < 0 else f"ended with exit code {code}"
        yield Failure(
            reason="OUT_OF_MEMORY" if says_out_of_memory(tail) else "TRAINING_FAILED",
            message=f"the training process {how} and gave no result",
            metadata={"log": told_of_log(tail)},
        )

    def _log_tail(self) -> str:
        """The end of the process's log, which is also put into the worker's: clients are not told all of it."""
        tail = (self._folder / _LOG).read_text(errors="replace")[-_LOG_TAIL:]
        if tail:
            _log.warning("a training process failed", end_of_log=tail)
        return tail

    async def close(self) -> None:
        """Ends the process if it still runs, with what it has started, and removes its files."""
        if self.is_running:
            await self._end()
        await asyncio.to_thread(self._own.close)

    async def _end(self) -> None:
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), _TERMINATE_SECONDS)
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        # To the group that it leads, so that nothing stays that a library has started. Members of a distributed
        # training lead groups of their own, and end when they see that it is gone.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


def processes_killed_for_memory() -> int:
    """How many processes the kernel has ended for want of memory since it was started; 0 where that is not told."""
    try:
        counters = _KERNEL_COUNTERS.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in counters if line.startswith("oom_kill ")), 0)


class SpareProcess:
    """Keeps a process waiting, so that a training need not wait for its libraries."""

    def __init__(self, folder: Path) -> None:
        """Takes the folder in which the processes have theirs."""
        self._folder = folder
        self._spare: TrainingProcess | None = None

    async def prepare(self) -> None:
        """Makes sure that a process waits."""
        if self._spare is None or not self._spare.is_running:
            await self.close()
            self._spare = await self._start()

    async def take(self) -> TrainingProcess:
        """The process that waits or, if none does, a new one."""
        spare, self._spare = self._spare, None
        if spare is not None and spare.is_running:
            return spare
        if spare is not None:
            await spare.close()
        return await self._start()

    async def close(self) -> None:
        """Ends the process that waits."""
        spare, self._spare = self._spare, None
        if spare is not None:
            await spare.close()

    async def _start(self) -> TrainingProcess:
        return await TrainingProcess.start(self._folder)
