"""Takes jobs through their lives: one process of all looks after them, and another one goes on where it dies."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

from nats.errors import Error as NatsError

from sightsmith.errors import InternalError, SightsmithError
from sightsmith.logs import get_logger
from sightsmith.objects import Objects
from sightsmith_inference.batches.finishing import Finisher
from sightsmith_inference.batches.job import BatchJob, JobError, JobState, Phase
from sightsmith_inference.batches.job_steps import JobSteps
from sightsmith_inference.batches.patience import will_pass
from sightsmith_inference.batches.planning import Planner
from sightsmith_inference.batches.queue import ShardQueue
from sightsmith_inference.batches.settings import BatchSettings
from sightsmith_inference.batches.shards import Shards
from sightsmith_inference.lease import Lease
from sightsmith_inference.retries import Retries

_QUEUE_SECONDS = 2.0
_log = get_logger(__name__)


class Coordinator:
    """Looks every second. Nothing of importance is kept in memory."""

    def __init__(
        self,
        settings: BatchSettings,
        lease: Lease,
        steps: JobSteps,
        shards: Shards,
        queue: ShardQueue,
        planner: Planner,
        finisher: Finisher,
        objects: Objects,
    ) -> None:
        self._settings = settings
        self._lease = lease
        self._steps = steps
        self._shards = shards
        self._queue = queue
        self._planner = planner
        self._finisher = finisher
        self._objects = objects
        self._work: dict[int, asyncio.Task[None]] = {}
        self._retries = Retries()
        self._troubled_since: dict[int, float] = {}

    async def run(self) -> None:
        """Works until cancelled."""
        try:
            while True:
                await self._look()
                await asyncio.sleep(self._settings.batch_look_seconds)
        finally:
            await self._stop_work(self._work)
            await self._lease.give_back()

    async def _look(self) -> None:
        try:
            if not await self._lease.hold():
                await self._stop_work(self._work)
                return
            jobs = await self._steps.open(self._settings.max_batch_jobs_running)
            await self._stop_work(self._work.keys() - {job.sequence for job in jobs if job.state is JobState.RUNNING})
            for job in jobs:
                await self._move(job)
            await self._clean()
            # Last, for NATS may be away.
            for job in jobs:
                await self._queue_shards(job)
        except (SightsmithError, TimeoutError, NatsError, OSError) as error:
            _log.warning("batch predictions are not looked after", error=str(error) or type(error).__name__)

    async def _move(self, job: BatchJob) -> None:
        """Takes a job a step further, if it is time."""
        if job.state is JobState.CANCELLING:
            await self._steps.confirm_cancelled(job)
        elif job.state is JobState.QUEUED:
            await self._steps.begin(job)
        elif job.phase is Phase.PLANNING:
            self._begin_work(job, self._planner.plan)
        elif job.phase is Phase.FINISHING:
            self._begin_work(job, self._finisher.finish)
        elif job.done_shards == job.shards:
            await self._steps.begin_to_finish(job)

    async def _queue_shards(self, job: BatchJob) -> None:
        if (job.state, job.phase) != (JobState.RUNNING, Phase.PREDICTING):
            return
        settings = self._settings
        shards = await self._shards.to_queue(job, settings.batch_queued_shards, settings.batch_requeue_seconds)
        async with asyncio.timeout(_QUEUE_SECONDS):
            await self._queue.put(shards)
        await self._shards.queued(shards)

    def _begin_work(self, job: BatchJob, work: Callable[[BatchJob], Awaitable[None]]) -> None:
        if job.sequence not in self._work and self._retries.is_due(str(job.sequence)):
            task = asyncio.create_task(self._do(job, work))
            self._work[job.sequence] = task
            task.add_done_callback(lambda _: self._work.pop(job.sequence, None))

    async def _do(self, job: BatchJob, work: Callable[[BatchJob], Awaitable[None]]) -> None:
        log = _log.bind(job=str(job.name))
        try:
            await work(job)
            self._forget_trouble(job)
        except SightsmithError as error:
            if will_pass(error) and self._has_patience(job):
                log.warning("a job waits", seconds=self._retries.postpone(str(job.sequence)), error=error.message)
                return
            log.warning("a job cannot be done", error=error.message)
            await self._fail(job, error)
        except Exception:
            log.exception("unexpected error in a job")
            await self._fail(job, InternalError("it failed unexpectedly; the log of the inference service says how"))

    async def _fail(self, job: BatchJob, error: SightsmithError) -> None:
        self._forget_trouble(job)
        try:
            await self._steps.fail(job, JobError.of(error))
        except SightsmithError as failure:
            _log.warning("that a job failed is noted later", job=str(job.name), error=failure.message)

    def _has_patience(self, job: BatchJob) -> bool:
        since = self._troubled_since.setdefault(job.sequence, time.monotonic())
        return time.monotonic() - since < self._settings.batch_max_outage_seconds

    def _forget_trouble(self, job: BatchJob) -> None:
        self._retries.forget(str(job.sequence))
        self._troubled_since.pop(job.sequence, None)

    async def _stop_work(self, jobs: Iterable[int]) -> None:
        tasks = [self._work[job] for job in tuple(jobs)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _clean(self) -> None:
        """Deletes what jobs have left behind, once every worker knows that they have ended."""
        for job in await self._steps.to_clean(2 * self._settings.batch_lease_seconds):
            await self._objects.delete_prefix(job.folder)
            if job.state is not JobState.SUCCEEDED:
                await self._finisher.remove(job)
            await self._steps.cleaned(job)
