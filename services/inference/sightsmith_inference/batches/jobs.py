"""Batch prediction jobs, as clients see and change them: creating, finding, cancelling and watching."""

import asyncio
import secrets
import time
import uuid
from collections.abc import AsyncGenerator, Sequence

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.actor import current_actor
from sightsmith.database import Database, utc_now
from sightsmith.errors import AlreadyExistsError, NotFoundError, OutOfRangeError, ResourceExhaustedError
from sightsmith.names import BatchPredictionJobName, ProjectName
from sightsmith.paging import PageRequest, page_of
from sightsmith_inference.batches.job import BatchJob, BatchRequest, JobState
from sightsmith_inference.batches.tables import BatchJobRow

_WATCH_SECONDS = 0.3
_KEEPALIVE_SECONDS = 15.0


class BatchJobs:
    """The jobs of all projects."""

    def __init__(self, database: Database, max_open: int) -> None:
        """Prepares everything; nothing is asked yet.

        Args:
            database: where the jobs are.
            max_open: how many jobs may wait or run at a time.
        """
        self._database = database
        self._max_open = max_open

    async def create(self, project: ProjectName, request: BatchRequest, request_id: uuid.UUID | None) -> BatchJob:
        """Queues a job, or returns the one that the same request queued before.

        Raises:
            AlreadyExistsError: if the request id was used with other arguments.
            ResourceExhaustedError: if too many jobs wait.
        """
        row = BatchJobRow(
            id=f"b-{secrets.token_hex(6)}",
            project=project.project,
            request_id=request_id,
            actor=current_actor(),
            spec=request.model_dump(mode="json"),
            state=JobState.QUEUED,
            revision=1,
        )
        try:
            async with self._database.transaction() as session:
                session.add(row)
                await session.flush()
                await self._require_room(session)
        except IntegrityError:
            if request_id is None:
                raise
            return await self._of_request(project, request, request_id)
        return BatchJob.model_validate(row)

    async def get(self, name: BatchPredictionJobName) -> BatchJob:
        """Finds a job.

        Raises:
            NotFoundError: if there is none of that name.
        """
        async with self._database.transaction() as session:
            return BatchJob.model_validate(await _row_of(session, name))

    async def page(self, project: ProjectName, page: PageRequest) -> tuple[Sequence[BatchJob], str]:
        """A page of a project's jobs, newest first, and the token of the next page."""
        wanted = select(BatchJobRow).where(BatchJobRow.project == project.project)
        if page.after is not None:
            wanted = wanted.where(BatchJobRow.sequence < page.after_number)
        wanted = wanted.order_by(BatchJobRow.sequence.desc()).limit(page.size + 1)
        async with self._database.transaction() as session:
            jobs = [BatchJob.model_validate(row) for row in await session.scalars(wanted)]
        return page_of(jobs, page, lambda job: job.sequence)

    async def cancel(self, name: BatchPredictionJobName) -> BatchJob:
        """Cancels a waiting job at once and has a running one stopped. A job that ended stays as it is.

        Raises:
            NotFoundError: if there is none of that name.
        """
        async with self._database.transaction() as session:
            row = await _row_of(session, name, lock=True)
            if row.state == JobState.QUEUED:
                row.state, row.end_time, row.is_clean = JobState.CANCELLED, utc_now(), True
                row.revision += 1
            elif row.state == JobState.RUNNING:
                row.state = JobState.CANCELLING
                row.revision += 1
            return BatchJob.model_validate(row)

    async def watch(self, name: BatchPredictionJobName, after_revision: int) -> AsyncGenerator[BatchJob | None, None]:
        """A job as it stands after each change, from a revision up to its end.

        Changes that follow each other closely are told as one. None, sent from time to time while nothing changes, is
        a sign of life.

        Raises:
            NotFoundError: if there is none of that name.
            OutOfRangeError: if the job has not come to that revision.
        """
        job = await self.get(name)
        if not 0 <= after_revision <= job.revision:
            raise OutOfRangeError(
                f"{name} is at revision {job.revision}; {after_revision} has not been reached",
                metadata={"revision": str(job.revision)},
            )
        last_sign = time.monotonic()
        while True:
            if job.revision > after_revision:
                after_revision, last_sign = job.revision, time.monotonic()
                yield job
            elif time.monotonic() - last_sign > _KEEPALIVE_SECONDS:
                last_sign = time.monotonic()
                yield None
            if job.state.is_final:
                return
            await asyncio.sleep(_WATCH_SECONDS)
            job = await self.get(name)

    async def _require_room(self, session: AsyncSession) -> None:
        count = await session.scalar(select(func.count()).where(BatchJobRow.end_time.is_(None)))
        if count is not None and count > self._max_open:
            raise ResourceExhaustedError(
                f"{self._max_open} batch prediction jobs wait or run already; try again when some have ended",
                reason="QUOTA_EXCEEDED",
                metadata={"limit": str(self._max_open)},
            )

    async def _of_request(self, project: ProjectName, request: BatchRequest, request_id: uuid.UUID) -> BatchJob:
        wanted = select(BatchJobRow).where(BatchJobRow.project == project.project, BatchJobRow.request_id == request_id)
        async with self._database.transaction() as session:
            job = BatchJob.model_validate((await session.scalars(wanted)).one())
        if job.spec != request:
            raise AlreadyExistsError(
                f"request_id {request_id} was used before to create {job.name} with other arguments",
                reason="REQUEST_ID_REUSED",
                metadata={"name": str(job.name)},
            )
        return job


async def _row_of(session: AsyncSession, name: BatchPredictionJobName, lock: bool = False) -> BatchJobRow:
    wanted = select(BatchJobRow).where(BatchJobRow.project == name.project, BatchJobRow.id == name.batch_prediction_job)
    row = await session.scalar(wanted.with_for_update() if lock else wanted)
    if row is None:
        raise NotFoundError(str(name))
    return row
