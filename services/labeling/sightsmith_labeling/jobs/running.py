"""What the code of a job works with: a running job with its progress, its steps and its folder."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, Protocol

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database
from sightsmith.names import ProjectName
from sightsmith_labeling.jobs.finding import Finding
from sightsmith_labeling.jobs.job import JobProgress
from sightsmith_labeling.jobs.leases import Lease, Leases
from sightsmith_labeling.jobs.tables import JobFindingRow


class JobKind(Protocol):
    """A kind of work that can be a job."""

    # The collection of its resource names, such as `importJobs`.
    name: ClassVar[str]

    async def run(self, job: "RunningJob") -> Mapping[str, Any]:
        """Does the work, from the job's checkpoint on.

        It is cancelled at an `await` when the job is to stop or was given to another worker.

        Returns:
            What came out, as JSON values.

        Raises:
            SightsmithError: if it cannot be done; the job fails with it. An `UnavailableError` is tried again.
        """


class Step:
    """One transaction of a job.

    Attributes:
        result: what the job tells should it end after this step, whatever ends it; None to leave it as it is.
    """

    def __init__(self, session: AsyncSession) -> None:
        self.session = session
        self.findings: list[Finding] = []
        self.result: Mapping[str, Any] | None = None

    def find(self, finding: Finding) -> None:
        """Adds to what the job has found, in the same transaction."""
        self.findings.append(finding)


class RunningJob:
    """A job in the hands of a worker.

    Attributes:
        checkpoint: what the last step that was committed left, by this worker or by one before it; empty at first.
        folder: an empty folder for files of the job; it is gone when the job ends.
    """

    def __init__(self, lease: Lease, leases: Leases, database: Database, folder: Path) -> None:
        self._lease = lease
        self._leases = leases
        self._database = database
        self._phase_begin = time.monotonic()
        self._done_at_begin = 0
        self.folder = folder
        self.checkpoint = lease.checkpoint
        self.progress: JobProgress | None = None

    @property
    def name(self) -> str:
        """`projects/{project}/{kind}/{job}`."""
        return str(self._lease.name)

    @property
    def project(self) -> ProjectName:
        """What the job works on."""
        return self._lease.project

    @property
    def actor(self) -> str:
        """Who asked for it; empty if the caller did not say."""
        return self._lease.actor

    @property
    def spec(self) -> Mapping[str, Any]:
        """What was asked for."""
        return self._lease.spec

    async def advance(self, phase: str, done: int, total: int = 0) -> None:
        """Says how far the job is. The next heartbeat tells everybody, so that it may be called often.

        Args:
            phase: what it is at, for people.
            done: things that are done in this phase.
            total: things that are to be done in this phase; 0 while that is not known.
        """
        if self.progress is None or self.progress.phase != phase:
            self._phase_begin, self._done_at_begin = time.monotonic(), done
        self.progress = JobProgress(phase, done, total, self._remaining_seconds(done, total))

    @asynccontextmanager
    async def step(self, checkpoint: Mapping[str, Any]) -> AsyncIterator[Step]:
        """One transaction: the work done in the block, its findings and the checkpoint are committed together.

        Args:
            checkpoint: where the job goes on after this step, as JSON values. What the block does to the mapping still
                counts.

        Raises:
            JobCancelledError: if the job is to be cancelled; nothing of the step is kept.
            LeaseLostError: if the job is not this worker's any more; nothing of the step is kept.
        """
        async with self._database.transaction() as session:
            step = Step(session)
            yield step
            await self._leases.save(session, self._lease, checkpoint, step.findings, step.result)
        self.checkpoint = dict(checkpoint)

    async def report(self, findings: Sequence[Finding]) -> None:
        """Records findings at once, whatever becomes of the step that the job is in.

        Raises:
            JobCancelledError: if the job is to be cancelled.
            LeaseLostError: if the job is not this worker's any more.
        """
        async with self._database.transaction() as session:
            await self._leases.save(session, self._lease, self.checkpoint, findings)

    async def forget_findings(self) -> None:
        """Takes back everything that was found: the work begins anew."""
        async with self._database.transaction() as session:
            await session.execute(delete(JobFindingRow).where(JobFindingRow.job == self._lease.sequence))
            await self._leases.save(session, self._lease, self.checkpoint, ())

    def _remaining_seconds(self, done: int, total: int) -> float | None:
        done_here = done - self._done_at_begin
        if done_here <= 0 or total < done:
            return None
        return round((time.monotonic() - self._phase_begin) / done_here * (total - done), 1)
