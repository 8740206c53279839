"""Leases: which worker has which job, for as long as it shows that it lives.

A worker claims a waiting job and gets a token. Everything it does to the job afterwards counts only with that token,
so that a worker that was taken for dead and comes back changes nothing.
"""

import time
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database, utc_now
from sightsmith.heartbeat import LeaseLostError
from sightsmith.names import EvaluationJobName, ModelName, TrainingJobName
from sightsmith_training.engine.specification import EmbeddingFile, Task, TrainingOptions
from sightsmith_training.evaluations.selection import WantedImages
from sightsmith_training.jobs import JobError, JobName, JobProgress, JobState, end_job, record_change, wake_workers
from sightsmith_training.models import next_model_number
from sightsmith_training.report_files import StoredReport
from sightsmith_training.tables import EvaluationJobRow, JobRow, TrainingJobRow

_SHORTEST_PAUSE_SECONDS = 5.0
_LONGEST_PAUSE_SECONDS = 60.0

RowT = TypeVar("RowT", bound=JobRow)
LeaseT = TypeVar("LeaseT", bound="JobLease")


@dataclass(frozen=True, kw_only=True)
class JobLease:
    """A job that this worker may work on.

    Attributes:
        seconds_before: for which workers were at it in earlier attempts.
        since: when this attempt began, on the clock of `time.monotonic`.
    """

    sequence: int
    token: uuid.UUID
    name: JobName
    snapshot: str
    manifest_key: str
    manifest_sha256: str
    attempt: int
    seconds_before: float = 0.0
    since: float = field(default_factory=time.monotonic)

    @property
    def worked_seconds(self) -> float:
        """For which workers have been at the job in all."""
        return self.seconds_before + time.monotonic() - self.since

    @property
    def id(self) -> str:
        """The last part of the job's name."""
        return str(self.name).rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class Lease(JobLease):
    """A training that this worker may work on, and when the first worker began with it."""

    name: TrainingJobName
    start_time: datetime
    embedding_files: Sequence[EmbeddingFile]
    seed: int
    options: TrainingOptions


@dataclass(frozen=True, kw_only=True)
class EvaluationLease(JobLease):
    """An evaluation that this worker may work on."""

    name: EvaluationJobName
    model: ModelName
    wanted: WantedImages


class JobLeases(Generic[LeaseT, RowT]):
    """Claiming, keeping and ending leases on jobs of one kind."""

    def __init__(self, database: Database, rows: type[RowT], lease_seconds: float, max_attempts: int) -> None:
        self._database = database
        self._rows = rows
        self._duration = timedelta(seconds=lease_seconds)
        self._max_attempts = max_attempts

    async def claim(self) -> LeaseT | None:
        """Takes the job that has waited longest; None if none waits."""
        rows = self._rows
        longest_waiting = (
            select(rows)
            .where(rows.state == JobState.QUEUED, func.coalesce(rows.retry_time <= _database_now(), True))
            .order_by(rows.sequence)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        async with self._database.transaction() as session:
            row = await session.scalar(longest_waiting)
            if row is None:
                return None
            row.state = JobState.RUNNING
            row.attempt += 1
            row.progress = None
            row.start_time = row.start_time or utc_now()
            row.lease_token = token = uuid.uuid4()
            row.lease_expire_time = _database_now() + self._duration
            await record_change(session, row)
            return self._lease(row, token)

    def _lease(self, row: RowT, token: uuid.UUID) -> LeaseT:
        raise NotImplementedError

    async def heartbeat(self, lease: LeaseT, progress: JobProgress | None) -> bool:
        """Keeps the lease and, if there is news, records how far the job is.

        Returns:
            Whether the job is to be cancelled.

        Raises:
            LeaseLostError: if the job is not this worker's any more.
        """
        async with self._database.transaction() as session:
            row = await locked_row(session, self._rows, lease)
            row.lease_expire_time = _database_now() + self._duration
            if progress is not None:
                row.progress = progress.model_dump()
                await record_change(session, row)
            return row.state == JobState.CANCELLING

    async def fail(self, lease: LeaseT, error: JobError) -> None:
        """Ends the job with an error.

        Raises:
            LeaseLostError: if the job is not this worker's any more.
        """
        async with self._database.transaction() as session:
            await end_job(session, await locked_row(session, self._rows, lease), JobState.FAILED, error)

    async def confirm_cancelled(self, lease: LeaseT) -> None:
        """Ends the job as it was asked to be.

        Raises:
            LeaseLostError: if the job is not this worker's any more.
        """
        async with self._database.transaction() as session:
            await end_job(session, await locked_row(session, self._rows, lease), JobState.CANCELLED)

    async def give_back(self, lease: LeaseT) -> None:
        """Lets another worker go on with the job at once; it does not count as an attempt.

        Raises:
            LeaseLostError: if the job is not this worker's any more.
        """
        async with self._database.transaction() as session:
            await _give_back(session, await locked_row(session, self._rows, lease))

    async def set_aside(self, lease: LeaseT, error: JobError, max_paused_seconds: float) -> bool:
        """Gives a job back for later, because something that it needs is away; each pause is longer.

        Args:
            lease: on the job.
            error: that ends the job once it has waited for too long.
            max_paused_seconds: how long all its pauses may be together, since it last came any further.

        Returns:
            Whether the job will be tried again; otherwise it has ended.

        Raises:
            LeaseLostError: if the job is not this worker's any more.
        """
        async with self._database.transaction() as session:
            row = await locked_row(session, self._rows, lease)
            _count_anew_after_progress(row)
            left = max_paused_seconds - row.paused_seconds
            if row.state != JobState.CANCELLING and left <= 0:
                await end_job(session, row, JobState.FAILED, error)
                return False
            # As long again as it has waited so far.
            pause = min(max(row.paused_seconds, _SHORTEST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS, left)
            row.paused_seconds += pause
            row.retry_time = _database_now() + timedelta(seconds=pause)
            return await _give_back(session, row)

    async def take_from_lost_workers(self) -> int:
        """Puts jobs whose worker has not been heard of back into the queue, or ends them.

        Returns:
            How many there were.
        """
        rows = self._rows
        return await self._take_where(rows.lease_token.is_not(None), rows.lease_expire_time < _database_now())

    async def take_from_dead_workers(self, tokens: Collection[uuid.UUID]) -> int:
        """Does the same at once for the leases of workers that are known to be dead.

        Otherwise a worker that is quickly back would first take younger jobs, because the lease on its own lasts.

        Args:
            tokens: of the leases.

        Returns:
            How many jobs there were.
        """
        return await self._take_where(self._rows.lease_token.in_(tokens)) if tokens else 0

    async def _take_where(self, *conditions: ColumnElement[bool]) -> int:
        wanted = select(self._rows).where(*conditions).with_for_update(skip_locked=True)
        async with self._database.transaction() as session:
            taken = (await session.scalars(wanted)).all()
            for row in taken:
                await self._take(session, row)
        return len(taken)

    async def _take(self, session: AsyncSession, row: JobRow) -> None:
        if row.state == JobState.CANCELLING:
            await end_job(session, row, JobState.CANCELLED)
        elif row.attempt < self._max_attempts:
            await _requeue(session, row)
        else:
            message = f"the worker was lost {row.attempt} times"
            await end_job(session, row, JobState.FAILED, JobError(reason="WORKER_LOST", message=message))


class Leases(JobLeases[Lease, TrainingJobRow]):
    """Leases on trainings."""

    def __init__(self, database: Database, lease_seconds: float, max_attempts: int) -> None:
        super().__init__(database, TrainingJobRow, lease_seconds, max_attempts)

    async def record_task(self, lease: Lease, task: Task, reason: str, left_out_labels: Sequence[str] = ()) -> None:
        """Records what the model is to do, and why, and the labels that it will not know.

        Raises:
            LeaseLostError: if the job is not this worker's any more.
        """
        async with self._database.transaction() as session:
            row = await locked_row(session, self._rows, lease)
            row.task, row.task_reason, row.left_out_labels = task, reason, list(left_out_labels)
            await record_change(session, row)

    async def record_report(self, lease: Lease, report: StoredReport) -> None:
        """Records the files that tell why it fails, which it is about to; only its end tells of them.

        Raises:
            LeaseLostError: if the job is not this worker's any more.
        """
        async with self._database.transaction() as session:
            row = await locked_row(session, self._rows, lease)
            row.report_files = [file.model_dump() for file in report.files]
            row.report_problems = list(report.problems)

    async def reserve_model_number(self, lease: Lease) -> int:
        """The number of the model that the job makes; the same one however often it is asked for.

        Raises:
            LeaseLostError: if the job is not this worker's any more.
        """
        async with self._database.transaction() as session:
            row = await locked_row(session, self._rows, lease)
            if row.model_number is None:
                row.model_number = await next_model_number(session, row.project)
            return row.model_number

    def _lease(self, row: TrainingJobRow, token: uuid.UUID) -> Lease:
        return Lease(
            sequence=row.sequence,
            token=token,
            name=TrainingJobName(row.project, row.id),
            start_time=row.start_time or utc_now(),
            snapshot=row.snapshot,
            manifest_key=row.manifest_key,
            manifest_sha256=row.manifest_sha256,
            embedding_files=[EmbeddingFile.model_validate(file) for file in row.embedding_files],
            seed=row.seed,
            options=TrainingOptions.model_validate(row.options),
            attempt=row.attempt,
            seconds_before=row.worked_seconds,
        )


class EvaluationLeases(JobLeases[EvaluationLease, EvaluationJobRow]):
    """Leases on evaluations."""

    def __init__(self, database: Database, lease_seconds: float, max_attempts: int) -> None:
        super().__init__(database, EvaluationJobRow, lease_seconds, max_attempts)

    def _lease(self, row: EvaluationJobRow, token: uuid.UUID) -> EvaluationLease:
        return EvaluationLease(
            sequence=row.sequence,
            token=token,
            name=EvaluationJobName(row.project, row.id),
            snapshot=row.snapshot,
            manifest_key=row.manifest_key,
            manifest_sha256=row.manifest_sha256,
            attempt=row.attempt,
            seconds_before=row.worked_seconds,
            model=ModelName.parse(row.model or ""),
            wanted=WantedImages.model_validate(row.wanted),
        )


async def locked_row(session: AsyncSession, rows: type[RowT], lease: JobLease) -> RowT:
    """The leased job's row, locked until the transaction ends, with the time that was spent on it so far.

    Raises:
        LeaseLostError: if the token is not the job's any more.
    """
    mine = (rows.sequence == lease.sequence, rows.lease_token == lease.token)
    row = await session.scalar(select(rows).where(*mine).with_for_update())
    if row is None:
        raise LeaseLostError(str(lease.name))
    row.worked_seconds = lease.worked_seconds
    return row


def _database_now() -> ColumnElement[datetime]:
    """The database's clock: the hosts of workers and servers need not agree on the time."""
    return func.clock_timestamp()


def _count_anew_after_progress(row: JobRow) -> None:
    """A long job may outlive many short outages. An attempt that only came as far as the one before is no progress."""
    percent = 0.0 if row.progress is None else JobProgress.model_validate(row.progress).percent
    if percent > row.paused_percent:
        row.paused_percent, row.paused_seconds = percent, 0.0


async def _give_back(session: AsyncSession, row: JobRow) -> bool:
    """Undoes a claim, or ends the job if it was to be cancelled; returns whether it waits again."""
    if row.state == JobState.CANCELLING:
        await end_job(session, row, JobState.CANCELLED)
        return False
    row.attempt -= 1
    await _requeue(session, row)
    return True


async def _requeue(session: AsyncSession, row: JobRow) -> None:
    row.state = JobState.QUEUED
    if row.progress is not None:
        row.progress = JobProgress.model_validate(row.progress).interrupted.model_dump()
    row.lease_token = row.lease_expire_time = None
    await record_change(session, row)
    wake_workers(session, row)
