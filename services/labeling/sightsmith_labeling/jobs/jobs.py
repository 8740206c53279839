"""Jobs of every kind: creating, finding, cancelling and watching them, and what they found."""

import asyncio
import secrets
import time
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.actor import current_actor
from sightsmith.database import Database, utc_now
from sightsmith.errors import AlreadyExistsError, NotFoundError, OutOfRangeError
from sightsmith.names import ProjectName
from sightsmith.paging import PageRequest, page_of
from sightsmith_labeling.constraints import violated_constraint
from sightsmith_labeling.jobs.finding import Finding, Severity
from sightsmith_labeling.jobs.job import Job, JobName, JobState, to_job
from sightsmith_labeling.jobs.tables import JobFindingRow, JobRow
from sightsmith_labeling.projects import require_project


class Jobs:
    """The jobs of all projects. A kind of job is named by its collection, such as `importJobs`."""

    def __init__(
        self, database: Database, watch_interval_seconds: float = 0.3, watch_keepalive_seconds: float = 15.0
    ) -> None:
        """Prepares everything; nothing is asked yet.

        Args:
            database: where the jobs are.
            watch_interval_seconds: how soon a watch sees a change.
            watch_keepalive_seconds: how often a watch shows that it is alive.
        """
        self._database = database
        self._watch_interval = watch_interval_seconds
        self._watch_keepalive = watch_keepalive_seconds

    async def create(
        self, project: ProjectName, kind: str, spec: Mapping[str, Any], request_id: uuid.UUID | None = None
    ) -> Job:
        """Queues a job, or returns the one that the same request queued before.

        Args:
            project: what the job works on.
            kind: the collection it belongs to.
            spec: what is to be done, as JSON values.
            request_id: makes a repeated request return the first one's job.

        Raises:
            NotFoundError: if the project does not exist.
            AlreadyExistsError: if the request id was used for something else.
        """
        row = JobRow(
            id=f"j-{secrets.token_hex(6)}",
            project=project.project,
            kind=kind,
            request_id=request_id,
            actor=current_actor(),
            spec=dict(spec),
            state=JobState.QUEUED.value,
            revision=1,
        )
        try:
            async with self._database.transaction() as session:
                session.add(row)
        except IntegrityError as error:
            match violated_constraint(error):
                case "fk_jobs_project":
                    raise NotFoundError(str(project)) from error
                case "uq_jobs_project_request_id" if request_id is not None:
                    return await self._of_request(project, kind, spec, request_id)
            raise
        return to_job(row)

    async def get(self, kind: str, name: str) -> Job:
        """Finds a job.

        Raises:
            InvalidArgumentError: if `name` is not the name of a job of this kind.
            NotFoundError: if there is none of that name.
        """
        async with self._database.transaction() as session:
            return to_job(await _row_of(session, JobName.parse(name, kind)))

    async def list(self, kind: str, project: ProjectName, page: PageRequest) -> tuple[Sequence[Job], str]:
        """Returns a page of a project's jobs of a kind, newest first, and the token of the next page.

        Raises:
            NotFoundError: if the project does not exist.
        """
        wanted = select(JobRow).where(JobRow.project == project.project, JobRow.kind == kind)
        if page.after is not None:
            wanted = wanted.where(JobRow.sequence < page.after_number)
        async with self._database.transaction() as session:
            await require_project(session, project)
            rows = (await session.scalars(wanted.order_by(JobRow.sequence.desc()).limit(page.size + 1))).all()
        rows, token = page_of(rows, page, key=lambda row: row.sequence)
        return [to_job(row) for row in rows], token

    async def cancel(self, kind: str, name: str) -> Job:
        """Asks for a job to be stopped; one that has ended stays as it is.

        Raises:
            InvalidArgumentError: if `name` is not the name of a job of this kind.
            NotFoundError: if there is none of that name.
        """
        async with self._database.transaction() as session:
            row = await _row_of(session, JobName.parse(name, kind), lock=True)
            if row.state == JobState.QUEUED:
                row.state = JobState.CANCELLED.value
                row.end_time = utc_now()
                row.revision += 1
            elif row.state == JobState.RUNNING:
                row.state = JobState.CANCELLING.value
                row.revision += 1
            return to_job(row)

    async def watch(self, kind: str, name: str, after_revision: int = 0) -> AsyncGenerator[Job | None, None]:
        """A job as it stands after each change, from a revision up to its end.

        Changes that follow each other closely are told as one. None, sent from time to time while nothing changes, is
        a sign of life.

        Raises:
            InvalidArgumentError: if `name` is not the name of a job of this kind.
            NotFoundError: if there is none of that name, or not any more.
            OutOfRangeError: if the job has not come to that revision.
        """
        job = await self.get(kind, name)
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
            elif time.monotonic() - last_sign > self._watch_keepalive:
                last_sign = time.monotonic()
                yield None
            if job.state.is_final:
                return
            await asyncio.sleep(self._watch_interval)
            job = await self.get(kind, name)

    async def findings(
        self,
        name: str,
        page: PageRequest,
        severity: Severity | None = None,
        kind: str | None = None,
        code: str | None = None,
    ) -> tuple[Sequence[Finding], str]:
        """Returns a page of what a job found, in the order of finding, and the token of the next page.

        Args:
            name: name of the job, as it stands in the field `parent` of a request.
            page: which page.
            severity: only these; None for all.
            kind: the kind that the job must be of; None for any.
            code: only these; None for all.

        Raises:
            InvalidArgumentError: if `name` is not the name of such a job.
            NotFoundError: if there is none of that name.
        """
        async with self._database.transaction() as session:
            job = await _row_of(session, JobName.parse(name, kind, "parent"))
            wanted = _findings_of(job.sequence, severity)
            if code is not None:
                wanted = wanted.where(JobFindingRow.code == code)
            if page.after is not None:
                wanted = wanted.where(JobFindingRow.key > page.after_number)
            rows = (await session.scalars(wanted.limit(page.size + 1))).all()
        rows, token = page_of(rows, page, key=lambda row: row.key)
        return [to_finding(row) for row in rows], token

    async def _of_request(self, project: ProjectName, kind: str, spec: Mapping[str, Any], request_id: uuid.UUID) -> Job:
        wanted = select(JobRow).where(JobRow.project == project.project, JobRow.request_id == request_id)
        async with self._database.transaction() as session:
            job = to_job((await session.scalars(wanted)).one())
        if (job.kind, job.spec) != (kind, spec):
            raise AlreadyExistsError(
                f"request_id {request_id} was used before to create {job.name} with other arguments",
                reason="REQUEST_ID_REUSED",
                metadata={"name": str(job.name)},
            )
        return job


def to_finding(row: JobFindingRow) -> Finding:
    """The finding of a row."""
    return Finding(
        severity=Severity(row.severity),
        code=row.code,
        message=row.message,
        file=row.file,
        line=row.line,
        resource=row.resource,
        path=row.path,
        details=row.details,
    )


def _findings_of(job: int, severity: Severity | None) -> Select[JobFindingRow]:
    wanted = select(JobFindingRow).where(JobFindingRow.job == job).order_by(JobFindingRow.key)
    return wanted if severity is None else wanted.where(JobFindingRow.severity == severity.value)


async def _row_of(session: AsyncSession, name: JobName, lock: bool = False) -> JobRow:
    wanted = select(JobRow).where(JobRow.project == name.project, JobRow.kind == name.kind, JobRow.id == name.job)
    row = await session.scalar(wanted.with_for_update() if lock else wanted)
    if row is None:
        raise NotFoundError(str(name))
    return row
