"""A worker: takes shards from the queue, answers them, stores what came out."""

import asyncio
import time
from contextlib import suppress
from functools import partial

from nats.errors import Error as NatsError

from sightsmith.errors import InternalError, SightsmithError, UnavailableError
from sightsmith.logs import get_logger
from sightsmith.objects import Objects, s3_url_of
from sightsmith_inference.batches.answering import Answerer
from sightsmith_inference.batches.job import BatchJob, JobError, ResultFormat
from sightsmith_inference.batches.job_steps import JobSteps
from sightsmith_inference.batches.patience import patiently
from sightsmith_inference.batches.planning import decode_items, images_key
from sightsmith_inference.batches.queue import QueuedShard, ShardQueue
from sightsmith_inference.batches.result_lines import Answered, json_line, manifest_line
from sightsmith_inference.batches.settings import BatchSettings
from sightsmith_inference.batches.shards import ClaimedShard, ShardLostError, ShardOutcome, Shards

_PAUSE_SECONDS = 1.0
_LONGEST_BEAT_SECONDS = 1.0
_log = get_logger(__name__)


def result_key(job: BatchJob, shard: int, written: ResultFormat) -> str:
    """Key of the object that holds the lines of a shard."""
    return f"{job.folder}/{job.plan}/results/{shard:08d}-{written.file_name}"


class ShardWorker:
    """Answers one shard at a time. It may die at any moment: a shard that it had is answered by another one."""

    def __init__(
        self,
        settings: BatchSettings,
        queue: ShardQueue,
        shards: Shards,
        steps: JobSteps,
        objects: Objects,
        answerer: Answerer,
    ) -> None:
        self._queue = queue
        self._shards = shards
        self._steps = steps
        self._objects = objects
        self._answerer = answerer
        self._own_url = s3_url_of(settings.object_store_url)
        self._lease_seconds = settings.batch_lease_seconds
        self._beat_seconds = min(settings.batch_lease_seconds / 3, _LONGEST_BEAT_SECONDS)
        self._max_outage_seconds = settings.batch_max_outage_seconds

    async def run(self) -> None:
        """Works until cancelled."""
        while True:
            try:
                async for queued in self._queue.shards():
                    await self._take(queued)
            except (TimeoutError, UnavailableError, NatsError, OSError) as error:
                _log.warning("no shards can be had now, trying again", error=str(error) or type(error).__name__)
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _take(self, queued: QueuedShard) -> None:
        shard = await self._shards.claim(queued.ref)
        if shard is not None:
            try:
                await self._answer_or_fail(shard, queued)
            except asyncio.CancelledError:
                with suppress(UnavailableError):
                    await self._shards.give_back(shard)
                raise
        if await self._shards.is_open(queued.ref):
            await queued.later(self._lease_seconds)
        else:
            await queued.done()

    async def _answer_or_fail(self, shard: ClaimedShard, queued: QueuedShard) -> None:
        log = _log.bind(job=str(shard.job.name), shard=shard.ref.number)
        try:
            await self._answer_while_ours(shard, queued)
        except ShardLostError:
            log.info("a shard is not to be answered any more")
        except SightsmithError as error:
            log.warning("a job cannot be done", error=error.message)
            await self._fail(shard, error)
        except Exception:
            log.exception("unexpected error in a shard")
            await self._fail(
                shard, InternalError("a shard failed unexpectedly; the log of the inference service says how")
            )

    async def _fail(self, shard: ClaimedShard, error: SightsmithError) -> None:
        await patiently(lambda: self._steps.fail(shard.job, JobError.of(error)), self._max_outage_seconds)

    async def _answer_while_ours(self, shard: ClaimedShard, queued: QueuedShard) -> None:
        """Answers a shard, and shows all the while that this worker lives."""
        work = asyncio.create_task(self._answer(shard))
        try:
            while not (await asyncio.wait([work], timeout=self._beat_seconds))[0]:
                await queued.at_work()
                await self._keep(shard)
            await work
        finally:
            work.cancel()
            await asyncio.wait([work])

    async def _keep(self, shard: ClaimedShard) -> None:
        try:
            await self._shards.keep(shard)
        except UnavailableError as error:
            # Whether the shard still is ours will be seen when it is finished.
            _log.warning("the database cannot be told that a shard is being answered", error=error.message)

    async def _answer(self, shard: ClaimedShard) -> None:
        begin, model_begin = time.monotonic(), self._answerer.model_seconds
        job = shard.job
        data = await self._patiently_get(images_key(job, job.plan or "", shard.ref.number))
        answers = [answered async for answered in self._answerer.answers(job.spec, decode_items(data))]
        for written in job.spec.formats:
            lines = b"".join(self._line(job, answered, written) for answered in answers)
            key = result_key(job, shard.ref.number, written)
            await patiently(partial(self._objects.put, key, lines), self._max_outage_seconds)
        answered = sum(one.is_answered for one in answers)
        outcome = ShardOutcome(
            answered=answered,
            failed=len(answers) - answered,
            worker_seconds=time.monotonic() - begin,
            model_seconds=self._answerer.model_seconds - model_begin,
        )
        await patiently(lambda: self._shards.finish(shard, outcome), self._max_outage_seconds)

    async def _patiently_get(self, key: str) -> bytes:
        try:
            return await patiently(lambda: self._objects.get(key), self._max_outage_seconds)
        except FileNotFoundError:
            # Says nothing to a job that has ended meanwhile, and been cleared away.
            raise InternalError(f"{key} is not in the object store any more") from None

    def _line(self, job: BatchJob, answered: Answered, written: ResultFormat) -> bytes:
        if written is ResultFormat.JSON_LINES:
            return json_line(answered)
        return manifest_line(answered, job.create_time, self._own_url)
