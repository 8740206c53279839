"""Leases: which worker has which job, for as long as it shows that it lives.

A worker claims a waiting job and gets a token. Everything it does to the job afterwards counts only with that token,
so that a worker that was taken for dead and comes back changes nothing.
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database, utc_now
from sightsmith.heartbeat import JobCancelledError, LeaseLostError
from sightsmith.names import ProjectName
from sightsmith_labeling.jobs.finding import Finding
from sightsmith_labeling.jobs.job import JobError, JobName, JobProgress, JobState
from sightsmith_labeling.jobs.tables import JobFindingRow, JobRow


@dataclass(frozen=True)
class Lease:
    """A job that this worker may work on.

    Attributes:
        checkpoint: how far an earlier worker came; empty if none began it.
    """

    sequence: int
    token: uuid.UUID
    name: JobName
    actor: str
    spec: Mapping[str, Any]
    checkpoint: Mapping[str, Any]
    attempt: int

    @property
    def project(self) -> ProjectName:
        """What the job works on."""
        return ProjectName(self.name.project)


class Leases:
    """Claiming, keeping and ending leases."""

    def __init__(self, database: Database, lease_seconds: float, max_attempts: int) -> None:
        self._database = database
        self._duration = timedelta(seconds=lease_seconds)
        self._max_attempts = max_attempts

    async def claim(self, kinds: Collection[str]) -> Lease | None:
        """Takes the job of these kinds that has waited longest; None if none waits."""
        longest_waiting = (
            select(JobRow)
            .where(JobRow.state == JobState.QUEUED.value, JobRow.kind.in_(kinds))
            .order_by(JobRow.sequence)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        async with self._database.transaction() as session:
            row = await session.scalar(longest_waiting)
            if row is None:
                return None
            row.state = JobState.RUNNING.value
            row.attempt += 1
            row.revision += 1
            row.start_time = row.start_time or utc_now()
            row.lease_token = token = uuid.uuid4()
            row.lease_expire_time = _database_now() + self._duration
            name = JobName(row.project, row.kind, row.id)
            return Lease(row.sequence, token, name, row.actor, row.spec, row.checkpoint, row.attempt)

    async def heartbeat(self, lease: Lease, progress: JobProgress | None) -> None:
        """Keeps the lease and, if there is news, records how far the job is.

        Raises:
            JobCancelledError: if the job is to be cancelled.
            LeaseLostError: if the job is not this worker's any more.
        """
        kept = update(JobRow).values(lease_expire_time=_database_now() + self._duration)
        if progress is not None:
            kept = kept.values(progress=asdict(progress), revision=JobRow.revision + 1)
        async with self._database.transaction() as session:
            state = await session.scalar(kept.where(*_mine(lease)).returning(JobRow.state))
        _require_running(lease, state)

    async def save(
        self,
        session: AsyncSession,
        lease: Lease,
        checkpoint: Mapping[str, Any],
        findings: Sequence[Finding],
        result: Mapping[str, Any] | None = None,
    ) -> None:
        """Records, in the transaction of a step's work, what was found, how far the job has come and what came out.

        It is the last thing in the transaction: the job's row stays locked to its end.

        Raises:
            JobCancelledError: if the job is to be cancelled.
            LeaseLostError: if the job is not this worker's any more.
        """
        if findings:
            rows = [{"job": lease.sequence, **asdict(finding)} for finding in findings]
            await session.execute(insert(JobFindingRow), rows)
        saved = update(JobRow).where(*_mine(lease)).values(checkpoint=dict(checkpoint))
        if result is not None:
            saved = saved.values(result=dict(result))
        _require_running(lease, await session.scalar(saved.returning(JobRow.state)))

    async def succeed(self, lease: Lease, result: Mapping[str, Any], progress: JobProgress | None = None) -> None:
        """Ends the job with what came out. One that was asked to stop when it was just done has still succeeded.

        Args:
            lease: of the job.
            result: what came out, as JSON values.
            progress: how far it came since the last heartbeat; None if that has told.

        Raises:
            LeaseLostError: if the job is not this worker's any more.
        """
        told = {} if progress is None else {"progress": asdict(progress)}
        await self._end(lease, JobState.SUCCEEDED, result=dict(result), **told)

    async def fail(self, lease: Lease, error: JobError) -> None:
        """Ends the job with an error. What its last step left as its result stays.

        Raises:
            LeaseLostError: if the job is not this worker's any more.
        """
        await self._end(lease, JobState.FAILED, error=asdict(error))

    async def note(self, lease: Lease, problem: str) -> None:
        """Records why a try broke off. It shows only if the job ends by that.

        Raises:
            LeaseLostError: if the job is not this worker's any more.
        """
        async with self._database.transaction() as session:
            (await _locked_row(session, lease)).error = asdict(JobError("WORKER_LOST", problem, {}))

    async def confirm_cancelled(self, lease: Lease) -> None:
        """Ends the job as it was asked to be. What its last step left as its result stays.

        Raises:
            LeaseLostError: if the job is not this worker's any more.
        """
        await self._end(lease, JobState.CANCELLED)

    async def give_back(self, lease: Lease) -> None:
        """Lets another worker go on with the job at once; it does not count as an attempt.

        Raises:
            LeaseLostError: if the job is not this worker's any more.
        """
        async with self._database.transaction() as session:
            row = await _locked_row(session, lease)
            if row.state == JobState.CANCELLING:
                _end_row(row, JobState.CANCELLED)
                return
            row.attempt -= 1
            _requeue(row)

    async def take_from_lost_workers(self, kinds: Collection[str]) -> int:
        """Puts jobs of these kinds whose worker has not been heard of back into the queue, or ends them.

        Returns:
            How many there were.
        """
        expired = (
            select(JobRow)
            .where(JobRow.lease_token.is_not(None), JobRow.lease_expire_time < _database_now())
            .where(JobRow.kind.in_(kinds))
            .with_for_update(skip_locked=True)
        )
        async with self._database.transaction() as session:
            rows = (await session.scalars(expired)).all()
            for row in rows:
                self._take(row)
        return len(rows)

    def _take(self, row: JobRow) -> None:
        if row.state == JobState.CANCELLING:
            _end_row(row, JobState.CANCELLED)
        elif row.attempt < self._max_attempts:
            _requeue(row)
        else:
            noted = f"; the last fault known: {row.error['message']}" if row.error else ""
            message = f"the worker was lost {row.attempt} times{noted}"
            row.error = asdict(JobError("WORKER_LOST", message, {}))
            _end_row(row, JobState.FAILED)

    async def _end(self, lease: Lease, state: JobState, **values: Any) -> None:
        async with self._database.transaction() as session:
            row = await _locked_row(session, lease)
            for name, value in values.items():
                setattr(row, name, value)
            _end_row(row, state)


def _mine(lease: Lease) -> tuple[ColumnElement[bool], ...]:
    return JobRow.sequence == lease.sequence, JobRow.lease_token == lease.token


def _require_running(lease: Lease, state: str | None) -> None:
    if state is None:
        raise LeaseLostError(str(lease.name))
    if state == JobState.CANCELLING:
        raise JobCancelledError(str(lease.name))


async def _locked_row(session: AsyncSession, lease: Lease) -> JobRow:
    row = await session.scalar(select(JobRow).where(*_mine(lease)).with_for_update())
    if row is None:
        raise LeaseLostError(str(lease.name))
    return row


def _requeue(row: JobRow) -> None:
    row.state = JobState.QUEUED.value
    row.lease_token = row.lease_expire_time = None
    row.revision += 1


def _end_row(row: JobRow, state: JobState) -> None:
    row.state = state.value
    row.lease_token = row.lease_expire_time = None
    row.end_time = utc_now()
    row.revision += 1


def _database_now() -> ColumnElement[datetime]:
    """The database's clock: the hosts of workers and servers need not agree on the time."""
    return func.clock_timestamp()
