"""What workers of all kinds of jobs have in common: taking jobs, one at a time, and keeping the leases on them."""

import asyncio
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

from prometheus_client import Counter, Gauge

from sightsmith.errors import SightsmithError, UnavailableError
from sightsmith.logs import get_logger
from sightsmith_training.engine.contract import Answers, Failure, Progress, TrainingResult
from sightsmith_training.engine.faults import failure_of
from sightsmith_training.engine.specification import EngineSpec
from sightsmith_training.jobs import JobError, JobProgress
from sightsmith_training.leases import JobLease, JobLeases, LeaseLostError
from sightsmith_training.settings import TrainingSettings
from sightsmith_training.training_process import TrainingProcess, TrainingProcessKilledError

Result = TypeVar("Result")
LeaseT = TypeVar("LeaseT", bound=JobLease)

_NAMED_VIOLATIONS = 100

_log = get_logger(__name__)


class CancelledByUserError(Exception):
    """The job was asked to stop."""


class JobWorker(ABC, Generic[LeaseT]):
    """Takes one job of a kind at a time and carries it out."""

    def __init__(self, settings: TrainingSettings, leases: JobLeases[LeaseT, Any], jobs: Counter, busy: Gauge) -> None:
        """Prepares it.

        Args:
            settings: of the worker.
            leases: on the jobs.
            jobs: counts those that ended, by outcome.
            busy: 1 while it is at one.
        """
        self._settings = settings
        self._leases = leases
        self._jobs = jobs
        self._busy = busy
        self._hint = asyncio.Event()

    @abstractmethod
    async def carry_out(self, lease: LeaseT, folder: Path, beat: "Heartbeat") -> Failure | None:
        """Carries a job out up to its success, which it records, or returns why it failed.

        Args:
            lease: on the job.
            folder: an empty one, which is removed afterwards.
            beat: keeps the lease beside work, and tells of progress.

        Raises:
            UnavailableError: if a server is out of reach; the job is tried again later.
        """

    async def prepare(self) -> None:
        """Gets ready for the next job."""

    async def close(self) -> None:
        """Ends what was made ready."""

    def wake(self) -> None:
        """Says that there may be a job."""
        self._hint.set()

    async def run(self) -> None:
        """Works until cancelled; a job in hand is then given back for others to go on with."""
        try:
            await self._work()
        finally:
            await asyncio.shield(self.close())

    async def _work(self) -> None:
        while True:
            try:
                self._hint.clear()
                lease = await self._leases.claim()
            except UnavailableError:
                lease = None
            if lease is not None:
                with self._busy.track_inprogress():
                    await self._work_on(lease)
                await self.prepare()
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hint.wait(), self._settings.poll_seconds)
                continue
            await self.prepare()

    async def _work_on(self, lease: LeaseT) -> None:
        log = _log.bind(job=str(lease.name), attempt=lease.attempt)
        log.info("job begins")
        # The token keeps it apart from the folder of a worker that was taken for dead and still tidies up.
        folder = self._settings.work_dir / f"{lease.id}-{lease.token.hex[:8]}"
        try:
            outcome = await self._end_of(lease, folder)
        except LeaseLostError:
            outcome = "lease lost"
        except asyncio.CancelledError:
            with suppress(LeaseLostError, UnavailableError):
                await asyncio.shield(self._leases.give_back(lease))
            raise
        except UnavailableError as error:
            log.warning("something that the job needs is away", exc_info=True)
            outcome = await self._set_aside(lease, error)
        except (OSError, TrainingProcessKilledError):
            # A killed process is no answer: when the lease runs out, the job is tried again.
            log.warning("job broke off", exc_info=True)
            outcome = "broken off"
        except Exception:
            log.exception("the worker failed")
            outcome = await self._fail_unexpectedly(lease)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self._jobs.labels(outcome).inc()
        log.info("job ended", outcome=outcome)

    async def _end_of(self, lease: LeaseT, folder: Path) -> str:
        """Carries a job out to its end and tells which end that was."""
        try:
            _make_empty(folder)
            failure = await self.carry_out(lease, folder, Heartbeat(self._leases, lease, self._settings))
        except CancelledByUserError:
            await self._leases.confirm_cancelled(lease)
            return "cancelled"
        except (UnavailableError, OSError) as error:
            # An object store in a folder is out of reach when its disk is full; that passes no sooner than this one.
            failure = failure_of(error.__cause__ if isinstance(error.__cause__, Exception) else error)
            if failure.reason != "DISK_FULL":
                raise
        except SightsmithError as error:
            failure = Failure(reason="TRAINING_FAILED", message=error.message)
        if failure is None:
            return "succeeded"
        if failure.reason == "DEPENDENCY_UNAVAILABLE":
            raise UnavailableError(failure.message)
        return await self._fail(lease, _error_of(failure))

    async def _set_aside(self, lease: LeaseT, error: UnavailableError) -> str:
        """Lets the job wait until what is away comes back, and fails it if that takes too long."""
        longest = self._settings.max_outage_seconds
        message = f"{error.message}; given up after {longest:g} s of waiting for it"
        try:
            final = JobError(reason=error.reason, message=message, metadata=dict(error.metadata))
            return "set aside" if await self._leases.set_aside(lease, final, longest) else "given up"
        except LeaseLostError:
            return "lease lost"
        except UnavailableError:
            return "broken off"  # The database itself is away: the lease runs out.

    async def _fail_unexpectedly(self, lease: LeaseT) -> str:
        message = "the worker failed unexpectedly; its log tells more"
        with suppress(LeaseLostError, UnavailableError):
            await self._fail(lease, JobError(reason="INTERNAL", message=message))
        return "failed"

    async def _fail(self, lease: LeaseT, error: JobError) -> str:
        await self._leases.fail(lease, error)
        return "failed"


class Heartbeat:
    """Keeps a lease while work is done, and ends the work when it is to be cancelled or the lease is lost."""

    def __init__(self, leases: JobLeases[Any, Any], lease: JobLease, settings: TrainingSettings) -> None:
        self._leases = leases
        self._lease = lease
        self._interval = settings.heartbeat_seconds
        self._patience = settings.lease_seconds
        self._told: JobProgress | None = None
        self.progress: JobProgress | None = None

    async def beside(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Runs work with a beating heart beside it.

        Raises:
            CancelledByUserError: if the job is to be cancelled.
            LeaseLostError: if it is not ours any more.
        """
        working, beating = asyncio.ensure_future(work), asyncio.ensure_future(self._beat())
        try:
            await asyncio.wait([working, beating], return_when=asyncio.FIRST_COMPLETED)
            return await (working if working.done() else beating)
        finally:
            for task in (working, beating):
                task.cancel()
            await asyncio.gather(working, beating, return_exceptions=True)

    async def _beat(self) -> NoReturn:
        last_success = time.monotonic()
        while True:
            try:
                await self._tell()
                last_success = time.monotonic()
            except UnavailableError:
                if time.monotonic() - last_success > self._patience:
                    raise LeaseLostError(str(self._lease.name)) from None
            await asyncio.sleep(self._interval)

    async def _tell(self) -> None:
        news = self.progress if self.progress != self._told else None
        if await self._leases.heartbeat(self._lease, news):
            raise CancelledByUserError
        self._told = news or self._told


async def ask(
    process: TrainingProcess, spec: EngineSpec, beat: Heartbeat, max_silence_seconds: float
) -> TrainingResult | Answers | Failure:
    """Lets a process do what a specification says, passes on its progress, and ends it."""
    try:
        process.begin(spec)
        async for message in process.messages(max_silence_seconds):
            if not isinstance(message, Progress):
                return message
            beat.progress = JobProgress.model_validate(message.model_dump(exclude={"kind"}))
    finally:
        await process.close()
    raise AssertionError("messages() ends with a result or a failure")


def _make_empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _error_of(failure: Failure) -> JobError:
    # The files that tell what is wrong with the data name them all.
    violations = [(violation.field, violation.description) for violation in failure.violations[:_NAMED_VIOLATIONS]]
    return JobError(reason=failure.reason, message=failure.message, metadata=failure.metadata, violations=violations)
