"""Training jobs: creating, finding, cancelling and watching them."""

import asyncio
import secrets
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Generic, TypeVar

from google.protobuf.message import Message
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.api.events.v1.event_pb2 import (
    EvaluationJobEnded,
    EvaluationJobQueued,
    TrainingJobEnded,
    TrainingJobQueued,
)
from sightsmith.database import Database, utc_now
from sightsmith.errors import AlreadyExistsError, NotFoundError, OutOfRangeError
from sightsmith.events.outbox import tell
from sightsmith.names import EvaluationJobName, TrainingJobName
from sightsmith.paging import PageRequest, page_of
from sightsmith_training.engine.contract import Phase
from sightsmith_training.engine.specification import Task, TrainingOptions
from sightsmith_training.evaluations.selection import WantedImages
from sightsmith_training.leftovers import discard_leftovers
from sightsmith_training.report_files import StoredReportFile
from sightsmith_training.snapshots import TrainableSnapshot
from sightsmith_training.tables import EvaluationJobRow, JobRow, Outbox, TrainingJobRevisionRow, TrainingJobRow

_NO_WISHES = TrainingOptions()

JobName = TrainingJobName | EvaluationJobName
JobT = TypeVar("JobT", bound="Job")


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

    @property
    def interrupted(self) -> "JobProgress":
        """How far a job came whose worker stopped, until another one goes on."""
        activity = "interrupted, waits to go on"
        return JobProgress(phase=self.phase, percent=self.percent, best_score=self.best_score, activity=activity)


class JobError(BaseModel):
    """Why a job failed: a reason of `ErrorReason`, with what belongs to it."""

    model_config = ConfigDict(frozen=True)

    reason: str
    message: str
    metadata: dict[str, str] = {}
    violations: list[tuple[str, str]] = []


class Job(BaseModel):
    """What jobs of all kinds have in common, at one revision."""

    model_config = ConfigDict(frozen=True, from_attributes=True)
    rows: ClassVar[type[JobRow]]

    sequence: int
    project: str
    id: str
    snapshot: str
    state: JobState
    progress: JobProgress | None
    error: JobError | None
    attempt: int
    revision: int
    create_time: datetime
    start_time: datetime | None
    end_time: datetime | None

    @property
    def name(self) -> str:
        """Its resource name."""
        raise NotImplementedError

    @property
    def arguments(self) -> tuple[object, ...]:
        """What it was asked for with: the same request gives the same."""
        raise NotImplementedError

    @property
    def queued(self) -> Message:
        """The fact that it waits for a worker."""
        raise NotImplementedError

    @property
    def ended(self) -> Message:
        """The fact that it has ended."""
        raise NotImplementedError


class TrainingJob(Job):
    """A training job at one revision."""

    rows = TrainingJobRow

    seed: int
    options: TrainingOptions = TrainingOptions()
    task: Task | None = None
    task_reason: str | None = None
    left_out_labels: list[str] = []
    model: str | None
    report_files: list[StoredReportFile] = []
    report_problems: list[str] = []
    worked_seconds: float = 0.0
    notes: list[str] = []

    @property
    def name(self) -> str:
        """`projects/{project}/trainingJobs/{training_job}`."""
        return str(TrainingJobName(self.project, self.id))

    @property
    def arguments(self) -> tuple[object, ...]:
        """Snapshot, seed and options."""
        return self.snapshot, self.seed, self.options

    @property
    def queued(self) -> Message:
        """The fact that it waits for a worker."""
        return TrainingJobQueued(training_job=self.name)

    @property
    def ended(self) -> Message:
        """The fact that it has ended."""
        return TrainingJobEnded(training_job=self.name)


class EvaluationJob(Job):
    """A job that judges a model by images of a snapshot, at one revision."""

    rows = EvaluationJobRow

    model: str
    wanted: WantedImages
    evaluation: str | None

    @property
    def name(self) -> str:
        """`projects/{project}/evaluationJobs/{evaluation_job}`."""
        return str(EvaluationJobName(self.project, self.id))

    @property
    def arguments(self) -> tuple[object, ...]:
        """Model, snapshot, and which images."""
        return self.model, self.snapshot, self.wanted

    @property
    def queued(self) -> Message:
        """The fact that it waits for a worker."""
        return EvaluationJobQueued(evaluation_job=self.name)

    @property
    def ended(self) -> Message:
        """The fact that it has ended."""
        return EvaluationJobEnded(evaluation_job=self.name)


class Jobs(Generic[JobT]):
    """The jobs of one kind of all projects."""

    def __init__(self, database: Database, job: type[JobT], watch_interval_seconds: float) -> None:
        self._database = database
        self._job = job
        self._watch_interval = watch_interval_seconds

    async def get(self, name: JobName) -> JobT:
        """Finds a job.

        Raises:
            NotFoundError: if there is none of that name.
        """
        async with self._database.transaction() as session:
            return self._job.model_validate(await self._row_of(session, name))

    async def page(self, project: str, request: PageRequest) -> tuple[Sequence[JobT], str]:
        """A page of a project's jobs, newest first, and the token of the next page."""
        rows = self._job.rows
        query = select(rows).where(rows.project == project)
        if request.after is not None:
            query = query.where(rows.sequence < request.after_number)
        query = query.order_by(rows.sequence.desc()).limit(request.size + 1)
        async with self._database.transaction() as session:
            jobs = [self._job.model_validate(row) for row in await session.scalars(query)]
        return page_of(jobs, request, lambda job: job.sequence)

    async def cancel(self, name: JobName) -> JobT:
        """Cancels a waiting job at once and asks the worker of a running one to stop. A job that ended stays as it is.

        Raises:
            NotFoundError: if there is none of that name.
        """
        async with self._database.transaction() as session:
            row = await self._row_of(session, name, lock=True)
            if row.state == JobState.QUEUED:
                await end_job(session, row, JobState.CANCELLED)
            elif row.state == JobState.RUNNING:
                row.state = JobState.CANCELLING
                await record_change(session, row)
            return self._job.model_validate(row)

    async def watch(self, name: JobName, after_revision: int) -> AsyncIterator[JobT | None]:
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

    async def _changes(self, sequence: int, after_revision: int) -> list[JobT]:
        query = (
            select(TrainingJobRevisionRow.job)
            .where(TrainingJobRevisionRow.job_sequence == sequence, TrainingJobRevisionRow.revision > after_revision)
            .order_by(TrainingJobRevisionRow.revision)
        )
        async with self._database.transaction() as session:
            return [self._job.model_validate(job) for job in await session.scalars(query)]

    async def _queue(self, row: JobRow, arguments: tuple[object, ...]) -> JobT:
        """Queues a job, or returns the one that the same request queued before.

        Raises:
            AlreadyExistsError: if the request id was used with other arguments.
        """
        project, request_id = row.project, row.request_id
        try:
            async with self._database.transaction() as session:
                session.add(row)
                await session.flush()
                await record_change(session, row)
                wake_workers(session, row)
        except IntegrityError:
            if request_id is None:
                raise
            return await self._of_request(project, request_id, arguments)
        return self._job.model_validate(row)

    async def _of_request(self, project: str, request_id: uuid.UUID, arguments: tuple[object, ...]) -> JobT:
        query = select(JobRow).where(JobRow.project == project, JobRow.request_id == request_id)
        async with self._database.transaction() as session:
            job = job_of((await session.scalars(query)).one())
        if isinstance(job, self._job) and job.arguments == arguments:
            return job
        raise AlreadyExistsError(
            f"request_id {request_id} was used before to create {job.name} with other arguments",
            reason="REQUEST_ID_REUSED",
            metadata={"name": job.name},
        )

    async def _row_of(self, session: AsyncSession, name: JobName, lock: bool = False) -> JobRow:
        rows, id_ = self._job.rows, str(name).rpartition("/")[2]
        query = select(rows).where(rows.project == name.project, rows.id == id_)
        row = await session.scalar(query.with_for_update() if lock else query)
        if row is None:
            raise NotFoundError(str(name))
        return row


class TrainingJobs(Jobs[TrainingJob]):
    """The training jobs of all projects."""

    def __init__(self, database: Database, watch_interval_seconds: float = 0.3) -> None:
        super().__init__(database, TrainingJob, watch_interval_seconds)

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
        return await self._queue(row, (snapshot.name, seed, options))


async def record_change(session: AsyncSession, row: JobRow) -> None:
    """Counts the revision up and keeps the job as it is now for those who watch."""
    row.revision += 1
    job = job_of(row).model_dump(mode="json")
    session.add(TrainingJobRevisionRow(job_sequence=row.sequence, revision=row.revision, job=job))
    await session.flush()


async def end_job(session: AsyncSession, row: JobRow, state: JobState, error: JobError | None = None) -> None:
    """Takes a job to a final state, tells of it, and notes what it leaves behind to be deleted."""
    row.state = state
    row.error = error.model_dump() if error else None
    row.lease_token = row.lease_expire_time = None
    row.end_time = utc_now()
    await discard_leftovers(session, row)
    await record_change(session, row)
    tell(session, Outbox, job_of(row).ended)


def wake_workers(session: AsyncSession, row: JobRow) -> None:
    """Wakes the workers for a job that waits."""
    tell(session, Outbox, job_of(row).queued)


def job_of(row: JobRow) -> Job:
    """The job that a row stands for."""
    if isinstance(row, EvaluationJobRow):
        return EvaluationJob.model_validate(row)
    return TrainingJob.model_validate(row)
