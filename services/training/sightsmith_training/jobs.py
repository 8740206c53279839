"""Training jobs: creating, finding, cancelling and watching them."""

import asyncio
import secrets
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.api.events.v1.event_pb2 import TrainingJobEnded, TrainingJobQueued
from sightsmith.database import Database, utc_now
from sightsmith.errors import AlreadyExistsError, NotFoundError, OutOfRangeError
from sightsmith.events.outbox import tell
from sightsmith.names import TrainingJobName
from sightsmith.paging import PageRequest, page_of
from sightsmith_training.engine.contract import Phase, Task, TrainingOptions
from sightsmith_training.report_files import StoredReport, StoredReportFile
from sightsmith_training.snapshots import TrainableSnapshot
from sightsmith_training.tables import Outbox, TrainingJobRevisionRow, TrainingJobRow

_NO_WISHES = TrainingOptions()
_NO_REPORT = StoredReport()


class JobState(StrEnum):
    """Where a job stands; `TrainingJob.State` in the protos tells what may follow what."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        """Whether nothing can follow."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


class JobProgress(BaseModel):
    """How far a job is: phase, per cent (0 to 100), seconds left if known, best macro-F1 so far if any."""

    model_config = ConfigDict(frozen=True)

    phase: Phase
    percent: float
    remaining_seconds: float | None = None
    best_score: float | None = None
    activity: str = ""
    metrics: dict[str, float] = {}


class JobError(BaseModel):
    """Why a job failed: a reason of `ErrorReason`, with what belongs to it."""

    model_config = ConfigDict(frozen=True)

    reason: str
    message: str
    metadata: dict[str, str] = {}
    violations: list[tuple[str, str]] = []


class TrainingJob(BaseModel):
    """A training job at one revision."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    sequence: int
    project: str
    id: str
    snapshot: str
    seed: int
    options: TrainingOptions = TrainingOptions()
    task: Task | None = None
    task_reason: str | None = None
    state: JobState
    progress: JobProgress | None
    model: str | None
    error: JobError | None
    report_files: list[StoredReportFile] = []
    report_problems: list[str] = []
    attempt: int
    revision: int
    create_time: datetime
    start_time: datetime | None
    end_time: datetime | None

    @property
    def name(self) -> str:
        """`projects/{project}/trainingJobs/{training_job}`."""
        return str(TrainingJobName(self.project, self.id))


class TrainingJobs:
    """The jobs of all projects."""

    def __init__(self, database: Database, watch_interval_seconds: float = 0.3) -> None:
        self._database = database
        self._watch_interval = watch_interval_seconds

    async def create(
        self,
        project: str,
        snapshot: TrainableSnapshot,
        seed: int,
        request_id: uuid.UUID | None,
        options: TrainingOptions = _NO_WISHES,
    ) -> TrainingJob:
        """Queues a job, or returns the one that the same request queued before.

        Raises:
            AlreadyExistsError: if the request id was used with other arguments.
        """
        row = TrainingJobRow(
            id=f"j-{secrets.token_hex(6)}",
            project=project,
            request_id=request_id,
            snapshot=snapshot.name,
            manifest_key=snapshot.manifest_key,
            manifest_sha256=snapshot.manifest_sha256,
            embedding_files=[file.model_dump() for file in snapshot.embedding_files],
            seed=seed,
            options=options.model_dump(mode="json"),
            state=JobState.QUEUED,
        )
        try:
            async with self._database.transaction() as session:
                session.add(row)
                await session.flush()
                await record_change(session, row)
                wake_workers(session, row)
        except IntegrityError:
            if request_id is None:
                raise
            return await self._of_request(project, request_id, (snapshot.name, seed, options))
        return TrainingJob.model_validate(row)

    async def get(self, name: TrainingJobName) -> TrainingJob:
        """Finds a job.

        Raises:
            NotFoundError: if there is none of that name.
        """
        async with self._database.transaction() as session:
            return TrainingJob.model_validate(await _row_of(session, name))

    async def page(self, project: str, request: PageRequest) -> tuple[Sequence[TrainingJob], str]:
        """A page of a project's jobs, newest first, and the token of the next page."""
        query = select(TrainingJobRow).where(TrainingJobRow.project == project)
        if request.after is not None:
            query = query.where(TrainingJobRow.sequence < request.after_number)
        query = query.order_by(TrainingJobRow.sequence.desc()).limit(request.size + 1)
        async with self._database.transaction() as session:
            jobs = [TrainingJob.model_validate(row) for row in await session.scalars(query)]
        return page_of(jobs, request, lambda job: job.sequence)

    async def cancel(self, name: TrainingJobName) -> TrainingJob:
        """Cancels a waiting job at once and asks the worker of a running one to stop. A job that ended stays as it is.

        Raises:
            NotFoundError: if there is none of that name.
        """
        async with self._database.transaction() as session:
            row = await _row_of(session, name, lock=True)
            if row.state == JobState.QUEUED:
                await end_job(session, row, JobState.CANCELLED)
            elif row.state == JobState.RUNNING:
                row.state = JobState.CANCELLING
                await record_change(session, row)
            return TrainingJob.model_validate(row)

    async def watch(self, name: TrainingJobName, after_revision: int) -> AsyncIterator[TrainingJob | None]:
        """Every change of a job after a revision, up to its end. None says that there is nothing new for now.

        Raises:
            NotFoundError: if there is no job of that name.
            OutOfRangeError: if the job has not come to that revision.
        """
        job = await self.get(name)
        if after_revision > job.revision:
            raise OutOfRangeError(
                f"{job.name} is at revision {job.revision}; {after_revision} has not been reached",
                metadata={"revision": str(job.revision)},
            )
        while True:
            changes = await self._changes(job.sequence, after_revision)
            for change in changes:
                after_revision = change.revision
                yield change
            job = changes[-1] if changes else job
            if job.state.is_final:
                return
            if not changes:
                yield None
            await asyncio.sleep(self._watch_interval)

    async def _changes(self, sequence: int, after_revision: int) -> list[TrainingJob]:
        query = (
            select(TrainingJobRevisionRow.job)
            .where(TrainingJobRevisionRow.job_sequence == sequence, TrainingJobRevisionRow.revision > after_revision)
            .order_by(TrainingJobRevisionRow.revision)
        )
        async with self._database.transaction() as session:
            return [TrainingJob.model_validate(job) for job in await session.scalars(query)]

    async def _of_request(
        self, project: str, request_id: uuid.UUID, arguments: tuple[str, int, TrainingOptions]
    ) -> TrainingJob:
        query = select(TrainingJobRow).where(TrainingJobRow.project == project, TrainingJobRow.request_id == request_id)
        async with self._database.transaction() as session:
            job = TrainingJob.model_validate((await session.scalars(query)).one())
        if (job.snapshot, job.seed, job.options) != arguments:
            raise AlreadyExistsError(
                f"request_id {request_id} was used before to create {job.name} with other arguments",
                reason="REQUEST_ID_REUSED",
                metadata={"name": job.name},
            )
        return job


async def record_change(session: AsyncSession, row: TrainingJobRow) -> None:
    """Counts the revision up and keeps the job as it is now for those who watch."""
    row.revision += 1
    job = TrainingJob.model_validate(row).model_dump(mode="json")
    session.add(TrainingJobRevisionRow(job_sequence=row.sequence, revision=row.revision, job=job))
    await session.flush()


async def end_job(
    session: AsyncSession,
    row: TrainingJobRow,
    state: JobState,
    error: JobError | None = None,
    report: StoredReport = _NO_REPORT,
) -> None:
    """Takes a job to a final state and tells of it."""
    row.state = state
    row.error = error.model_dump() if error else None
    row.report_files = [file.model_dump() for file in report.files]
    row.report_problems = list(report.problems)
    row.lease_token = row.lease_expire_time = None
    row.end_time = utc_now()
    await record_change(session, row)
    tell(session, Outbox, TrainingJobEnded(training_job=_name_of(row)))


def wake_workers(session: AsyncSession, row: TrainingJobRow) -> None:
    """Wakes the workers for a job that waits."""
    tell(session, Outbox, TrainingJobQueued(training_job=_name_of(row)))


def _name_of(row: TrainingJobRow) -> str:
    return str(TrainingJobName(row.project, row.id))


async def _row_of(session: AsyncSession, name: TrainingJobName, lock: bool = False) -> TrainingJobRow:
    query: Any = select(TrainingJobRow).where(
        TrainingJobRow.project == name.project, TrainingJobRow.id == name.training_job
    )
    row: TrainingJobRow | None = await session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise NotFoundError(str(name))
    return row
