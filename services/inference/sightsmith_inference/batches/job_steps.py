"""The steps of a job's life: transactions that count only while the job still is where it was thought to be."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database, utc_now
from sightsmith_inference.batches.job import BatchJob, JobError, JobState, Phase, ResultFile
from sightsmith_inference.batches.tables import BatchJobRow, BatchShardRow

_CUT = text(
    """
    INSERT INTO inference.batch_shards (job, number, images)
    SELECT :job, number, least(:size, :images - number * :size) FROM generate_series(0, :shards - 1) AS number
    """
)
_CLEANED_AT_ONCE = 100


class JobSteps:
    """Takes jobs from step to step. Each step returns whether it was taken; if not, nothing has changed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, at_once: int) -> Sequence[BatchJob]:
        """The jobs that are to go on, the oldest first: those that were begun, and as many as may run beside them."""
        begun = select(BatchJobRow).where(BatchJobRow.state.in_([JobState.RUNNING, JobState.CANCELLING]))
        waiting = select(BatchJobRow).where(BatchJobRow.state == JobState.QUEUED).order_by(BatchJobRow.sequence)
        async with self._database.transaction() as session:
            rows = list(await session.scalars(begun.order_by(BatchJobRow.sequence)))
            if len(rows) < at_once:
                rows += await session.scalars(waiting.limit(at_once - len(rows)))
        return [BatchJob.model_validate(row) for row in rows]

    async def begin(self, job: BatchJob) -> bool:
        """Lets a waiting job run."""
        async with self._database.transaction() as session:
            return await _change(session, job, JobState.QUEUED, state=JobState.RUNNING, start_time=utc_now())

    async def cut(self, job: BatchJob, plan: str, images: int, skipped: int, size: int) -> bool:
        """Records the shards of a job; from now on they are answered.

        Args:
            job: which is being planned.
            plan: where the images of the shards are written.
            images: how many there are.
            skipped: how many of the source are left out.
            size: images of a shard; the last one may have fewer.
        """
        shards = -(-images // size)
        planned = {
            "plan": plan,
            "images": images,
            "skipped": skipped,
            "shards": shards,
            "phase": Phase.PREDICTING,
            "predict_time": utc_now(),
        }
        async with self._database.transaction() as session:
            if not await _change(session, job, JobState.RUNNING, Phase.PLANNING, **planned):
                return False
            await session.execute(_CUT, {"job": job.sequence, "size": size, "images": images, "shards": shards})
        return True

    async def begin_to_finish(self, job: BatchJob) -> bool:
        """Notes that every shard is done."""
        async with self._database.transaction() as session:
            return await _change(session, job, JobState.RUNNING, Phase.PREDICTING, phase=Phase.FINISHING)

    async def succeed(self, job: BatchJob, results: Sequence[ResultFile]) -> bool:
        """Ends a job with its results."""
        files = [file.model_dump(mode="json") for file in results]
        async with self._database.transaction() as session:
            return await _end(session, job, JobState.RUNNING, JobState.SUCCEEDED, results=files)

    async def fail(self, job: BatchJob, error: JobError) -> bool:
        """Ends a job with an error."""
        async with self._database.transaction() as session:
            return await _end(session, job, JobState.RUNNING, JobState.FAILED, error=error.model_dump())

    async def confirm_cancelled(self, job: BatchJob) -> bool:
        """Ends a job as it was asked to be."""
        async with self._database.transaction() as session:
            return await _end(session, job, JobState.CANCELLING, JobState.CANCELLED)

    async def to_clean(self, seconds: float) -> Sequence[BatchJob]:
        """Jobs that ended so long ago that nobody works for them any more, and whose files are still there."""
        query = (
            select(BatchJobRow)
            .where(~BatchJobRow.is_clean, BatchJobRow.end_time < func.clock_timestamp() - timedelta(seconds=seconds))
            .order_by(BatchJobRow.sequence)
            .limit(_CLEANED_AT_ONCE)
        )
        async with self._database.transaction() as session:
            return [BatchJob.model_validate(row) for row in await session.scalars(query)]

    async def cleaned(self, job: BatchJob) -> None:
        """Notes that nothing is left of a job but its results."""
        async with self._database.transaction() as session:
            await session.execute(update(BatchJobRow).where(BatchJobRow.sequence == job.sequence).values(is_clean=True))


async def _change(
    session: AsyncSession, job: BatchJob, in_state: JobState, in_phase: Phase | None = None, **values: Any
) -> bool:
    """Changes a job that is in a state, and in a phase if one is given."""
    change = (
        update(BatchJobRow)
        .where(BatchJobRow.sequence == job.sequence, BatchJobRow.state == in_state)
        .values(revision=BatchJobRow.revision + 1, **values)
        .returning(BatchJobRow.sequence)
    )
    if in_phase is not None:
        change = change.where(BatchJobRow.phase == in_phase)
    return await session.scalar(change) is not None


async def _end(session: AsyncSession, job: BatchJob, before: JobState, after: JobState, **values: Any) -> bool:
    if not await _change(session, job, before, state=after, end_time=utc_now(), **values):
        return False
    await session.execute(delete(BatchShardRow).where(BatchShardRow.job == job.sequence))
    return True
