"""Shards: which are put on the queue, who answers which, and what became of them."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, update

from sightsmith.database import Database
from sightsmith_inference.batches.job import BatchJob, JobState
from sightsmith_inference.batches.tables import BatchJobRow, BatchShardRow


@dataclass(frozen=True)
class ShardRef:
    """A shard as it is told on the queue: the number of its job, and its own within the job."""

    job: int
    number: int


@dataclass(frozen=True)
class ClaimedShard:
    """A shard that this worker may answer, with its job as it was then."""

    ref: ShardRef
    token: uuid.UUID
    job: BatchJob


@dataclass(frozen=True)
class ShardOutcome:
    """What became of a shard: images with predictions and with an error, and the time that it took."""

    answered: int
    failed: int
    worker_seconds: float
    model_seconds: float


class ShardLostError(Exception):
    """The shard belongs to somebody else now, or its job has ended: stop working on it."""


class Shards:
    """The shards of the jobs that run."""

    def __init__(self, database: Database, lease_seconds: float) -> None:
        self._database = database
        self._lease = timedelta(seconds=lease_seconds)

    async def to_queue(self, job: BatchJob, at_once: int, requeue_seconds: float) -> Sequence[ShardRef]:
        """Shards that are to be put on the queue, the first first.

        Of the first `at_once` that are not done, those that never were on the queue, or were so long ago, without
        anybody at work on them, that their message may be lost.
        """
        first = (
            select(BatchShardRow)
            .where(BatchShardRow.job == job.sequence, ~BatchShardRow.is_done)
            .order_by(BatchShardRow.number)
            .limit(at_once)
            .subquery()
        )
        is_lost = and_(
            first.c.publish_time < _now() - timedelta(seconds=requeue_seconds),
            func.coalesce(first.c.claim_expire_time < _now(), True),
        )
        query = select(first.c.number).where(or_(first.c.publish_time.is_(None), is_lost)).order_by(first.c.number)
        async with self._database.transaction() as session:
            return [ShardRef(job.sequence, number) for number in await session.scalars(query)]

    async def queued(self, shards: Sequence[ShardRef]) -> None:
        """Notes that these shards, of one job, are on the queue."""
        if not shards:
            return
        numbers = [shard.number for shard in shards]
        async with self._database.transaction() as session:
            await session.execute(
                update(BatchShardRow)
                .where(BatchShardRow.job == shards[0].job, BatchShardRow.number.in_(numbers))
                .values(publish_time=_now())
            )

    async def claim(self, shard: ShardRef) -> ClaimedShard | None:
        """Takes a shard; None if it is done, somebody else is at it, or its job does not run any more."""
        token = uuid.uuid4()
        take = (
            update(BatchShardRow)
            .where(
                _is(shard),
                ~BatchShardRow.is_done,
                func.coalesce(BatchShardRow.claim_expire_time < _now(), True),
                _runs(shard.job),
            )
            .values(claim_token=token, claim_expire_time=_now() + self._lease)
            .returning(BatchShardRow.number)
        )
        async with self._database.transaction() as session:
            if await session.scalar(take) is None:
                return None
            row = await session.get_one(BatchJobRow, shard.job)
        return ClaimedShard(shard, token, BatchJob.model_validate(row))

    async def is_open(self, shard: ShardRef) -> bool:
        """Whether a shard is still to be answered, by whomever."""
        query = select(BatchShardRow.is_done).where(_is(shard))
        async with self._database.transaction() as session:
            return await session.scalar(query) is False

    async def keep(self, shard: ClaimedShard) -> None:
        """Shows that this worker lives.

        Raises:
            ShardLostError: if the shard is not its own any more, or the job is to stop.
        """
        keep = (
            update(BatchShardRow)
            .where(_is_ours(shard), _runs(shard.ref.job))
            .values(claim_expire_time=_now() + self._lease)
            .returning(BatchShardRow.number)
        )
        async with self._database.transaction() as session:
            if await session.scalar(keep) is None:
                raise ShardLostError

    async def finish(self, shard: ClaimedShard, outcome: ShardOutcome) -> None:
        """Notes that the result of a shard is stored.

        Raises:
            ShardLostError: if the shard is not this worker's own any more, or the job is to stop.
        """
        # The job first, as where a job ends: two that lock in different orders could wait for each other.
        count = (
            update(BatchJobRow)
            .where(BatchJobRow.sequence == shard.ref.job, BatchJobRow.state == JobState.RUNNING)
            .values(
                done_shards=BatchJobRow.done_shards + 1,
                answered=BatchJobRow.answered + outcome.answered,
                failed=BatchJobRow.failed + outcome.failed,
                worker_seconds=BatchJobRow.worker_seconds + outcome.worker_seconds,
                model_seconds=BatchJobRow.model_seconds + outcome.model_seconds,
                revision=BatchJobRow.revision + 1,
            )
            .returning(BatchJobRow.sequence)
        )
        finish = (
            update(BatchShardRow)
            .where(_is_ours(shard), ~BatchShardRow.is_done)
            .values(is_done=True, claim_token=None, claim_expire_time=None)
            .returning(BatchShardRow.number)
        )
        async with self._database.transaction() as session:
            if await session.scalar(count) is None or await session.scalar(finish) is None:
                raise ShardLostError

    async def give_back(self, shard: ClaimedShard) -> None:
        """Lets another worker have a shard at once."""
        async with self._database.transaction() as session:
            await session.execute(
                update(BatchShardRow)
                .where(_is_ours(shard))
                .values(claim_token=None, claim_expire_time=None, publish_time=None)
            )


def _is(shard: ShardRef) -> ColumnElement[bool]:
    return and_(BatchShardRow.job == shard.job, BatchShardRow.number == shard.number)


def _runs(job: int) -> ColumnElement[bool]:
    return exists().where(BatchJobRow.sequence == job, BatchJobRow.state == JobState.RUNNING)


def _is_ours(shard: ClaimedShard) -> ColumnElement[bool]:
    return and_(_is(shard.ref), BatchShardRow.claim_token == shard.token)


def _now() -> ColumnElement[datetime]:
    """The database's clock: the hosts of workers need not agree on the time."""
    return func.clock_timestamp()
