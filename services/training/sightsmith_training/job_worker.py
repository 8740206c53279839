"""What workers of all kinds of jobs have in common: taking jobs, one at a time, and keeping the leases on them."""

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

from prometheus_client import Counter, Gauge

from sightsmith.errors import SightsmithError, UnavailableError
from sightsmith.heartbeat import Heartbeat, JobCancelledError, LeaseLostError
from sightsmith.logs import get_logger
from sightsmith_training.engine.contract import Answers, Failure, Progress, TrainingResult
from sightsmith_training.engine.faults import failure_of
from sightsmith_training.engine.specification import EngineSpec
from sightsmith_training.jobs import JobError, JobProgress
from sightsmith_training.leases import JobLease, JobLeases
from sightsmith_training.settings import TrainingSettings
from sightsmith_training.training_process import TrainingProcess, TrainingProcessKilledError
from sightsmith_training.work_folders import work_folder

LeaseT = TypeVar("LeaseT", bound=JobLease)

_NAMED_VIOLATIONS = 100

_log = get_logger(__name__)


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
    async def carry_out(self, lease: LeaseT, folder: Path, beat: "JobHeartbeat") -> Failure | None:
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
        try:
            outcome = await self._end_of(lease)
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
        self._jobs.labels(outcome).inc()
        log.info("job ended", outcome=outcome)

    async def _end_of(self, lease: LeaseT) -> str:
        """Carries a job out to its end and tells which end that was."""
        try:
            with work_folder(self._settings.work_dir, lease) as folder:
                failure = await self.carry_out(lease, folder, JobHeartbeat(self._leases, lease, self._settings))
        except JobCancelledError:
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


class JobHeartbeat(Heartbeat[JobProgress]):
    """Keeps the lease on a job while work is done.

    Attributes:
        progress: how far the job is; the next beat tells everybody.
    """

    def __init__(self, leases: JobLeases[LeaseT, Any], lease: LeaseT, settings: TrainingSettings) -> None:
        self.progress: JobProgress | None = None

        async def renew(news: JobProgress | None) -> None:
            if await leases.heartbeat(lease, news):
                raise JobCancelledError(str(lease.name))

        super().__init__(renew, lambda: self.progress, settings.heartbeat_seconds, settings.lease_seconds)


async def ask(
    process: TrainingProcess, spec: EngineSpec, beat: JobHeartbeat, max_silence_seconds: float
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


def _error_of(failure: Failure) -> JobError:
    # The files that tell what is wrong with the data name them all.
    violations = [(violation.field, violation.description) for violation in failure.violations[:_NAMED_VIOLATIONS]]
    return JobError(reason=failure.reason, message=failure.message, metadata=failure.metadata, violations=violations)
