"""Working on jobs: claiming them, keeping their leases while they run, and ending them as they ended."""

import asyncio
import errno
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import Counter, Gauge
from structlog.contextvars import bound_contextvars

from sightsmith.actor import acting_as
from sightsmith.database import Database
from sightsmith.errors import InternalError, ResourceExhaustedError, SightsmithError, UnavailableError
from sightsmith.heartbeat import Heartbeat, JobCancelledError, LeaseLostError
from sightsmith.logs import REQUEST_ID, get_logger
from sightsmith_labeling.jobs.job import JobError, JobProgress
from sightsmith_labeling.jobs.leases import Lease, Leases
from sightsmith_labeling.jobs.running import JobKind, RunningJob

_jobs = Counter("sightsmith_labeling_jobs_total", "Jobs that this worker ended, by kind and outcome.", ["kind", "end"])
_busy = Gauge("sightsmith_labeling_jobs_running", "Jobs that this worker is at.")
_log = get_logger(__name__)


@dataclass(frozen=True)
class WorkerSettings:
    """How a worker works.

    Attributes:
        concurrency: jobs that run beside each other.
        lease_seconds: a worker that has not been heard of for this time is taken to be lost.
        heartbeat_seconds: how often it is heard of, and how soon it hears that a job is to be cancelled.
        poll_seconds: how often it looks for a job when it has none.
        max_attempts: how often a job whose worker is lost is begun.
        folder: where the files of jobs are.
    """

    concurrency: int
    lease_seconds: float
    heartbeat_seconds: float
    poll_seconds: float
    max_attempts: int
    folder: Path


class JobWorker:
    """Takes jobs of the kinds that it knows, a few beside each other."""

    def __init__(self, database: Database, kinds: Sequence[JobKind], settings: WorkerSettings) -> None:
        self._database = database
        self._kinds = {kind.name: kind for kind in kinds}
        self._settings = settings
        self._leases = Leases(database, settings.lease_seconds, settings.max_attempts)

    async def run(self) -> None:
        """Works until cancelled; jobs in hand are then given back for others to go on with."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take_from_lost_workers())
            for _ in range(self._settings.concurrency):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            lease = None
            with suppress(UnavailableError):
                lease = await self._leases.claim(self._kinds.keys())
            if lease is None:
                await asyncio.sleep(self._settings.poll_seconds)
                continue
            about = {REQUEST_ID: str(lease.name), "attempt": lease.attempt}
            with _busy.track_inprogress(), acting_as(lease.actor), bound_contextvars(**about):
                await self._work_on(lease)

    async def _take_from_lost_workers(self) -> None:
        while True:
            with suppress(UnavailableError):
                if lost := await self._leases.take_from_lost_workers(self._kinds.keys()):
                    _log.warning("jobs of lost workers", jobs=lost)
            await asyncio.sleep(self._settings.heartbeat_seconds)

    async def _work_on(self, lease: Lease) -> None:
        _log.info("job begins")
        # The token keeps it apart from the folder of a worker that was taken for dead and still tidies up.
        folder = self._settings.folder / f"{lease.name.job}-{lease.token.hex[:8]}"
        try:
            folder.mkdir(parents=True)
            outcome = await self._carry_out(lease, RunningJob(lease, self._leases, self._database, folder))
        except LeaseLostError:
            outcome = "lease lost"
        except asyncio.CancelledError:
            with suppress(LeaseLostError, UnavailableError):
                await asyncio.shield(self._leases.give_back(lease))
            raise
        except (UnavailableError, OSError) as error:
            _log.warning("job broke off", exc_info=True)
            outcome = await self._break_off(lease, error)
        except Exception:
            _log.exception("the worker failed")
            outcome = await self._fail(lease, _internal(lease, "the worker failed unexpectedly; its log tells more"))
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        _jobs.labels(lease.name.kind, outcome).inc()
        _log.info("job ended", outcome=outcome)

    async def _carry_out(self, lease: Lease, job: RunningJob) -> str:
        """Carries a job out to its end and tells which end that was."""
        try:
            result: Mapping[str, Any] = await self._heartbeat(lease, job).beside(self._kinds[lease.name.kind].run(job))
        except JobCancelledError:
            await self._leases.confirm_cancelled(lease)
            return "cancelled"
        except UnavailableError:
            raise
        except SightsmithError as error:
            await self._leases.fail(lease, JobError.of(error))
            return "failed"
        await self._leases.succeed(lease, result, job.progress)
        return "succeeded"

    def _heartbeat(self, lease: Lease, job: RunningJob) -> Heartbeat[JobProgress]:
        return Heartbeat(
            partial(self._leases.heartbeat, lease),
            lambda: job.progress,
            self._settings.heartbeat_seconds,
            self._settings.lease_seconds,
        )

    async def _break_off(self, lease: Lease, error: UnavailableError | OSError) -> str:
        """Leaves a job to be tried again when its lease runs out, unless what is wrong would still be wrong then."""
        if (lasting := _lasting(lease, error)) is not None:
            return await self._fail(lease, lasting)
        with suppress(LeaseLostError, UnavailableError):
            await self._leases.note(lease, str(error))
        return "broken off"

    async def _fail(self, lease: Lease, error: SightsmithError) -> str:
        with suppress(LeaseLostError, UnavailableError):
            await self._leases.fail(lease, JobError.of(error))
        return "failed"


def _lasting(lease: Lease, error: UnavailableError | OSError) -> SightsmithError | None:
    """What a job fails with at once; None if what is out of reach may come back."""
    match error:
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return ResourceExhaustedError(f"the worker's disk is full: {error}", reason="OVERLOADED")
        case FileNotFoundError():
            return _internal(lease, f"a file that the work needs is gone: {error}")
        case PermissionError():
            return _internal(lease, f"the worker may not use a file: {error}")
    return None


def _internal(lease: Lease, message: str) -> InternalError:
    return InternalError(message, metadata={"request_id": str(lease.name)})
