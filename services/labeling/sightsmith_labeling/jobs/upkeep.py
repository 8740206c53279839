"""Deleting the files that jobs have written, once they are old, and those of projects that are gone."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from sqlalchemy import delete, func, select, update

from sightsmith.database import Database
from sightsmith.objects import Objects
from sightsmith_labeling.imports.uploaded_files import sweep_for_ever
from sightsmith_labeling.jobs.job import JobState
from sightsmith_labeling.jobs.tables import DiscardedFileRow, JobRow

_SWEPT_AT_ONCE = 100


class ResultUpkeep:
    """Deletes the files of old jobs of a kind; the jobs stay and say so."""

    def __init__(
        self, database: Database, kind: str, delete: Callable[[str, str], Awaitable[None]], days: float
    ) -> None:
        """Prepares it.

        Args:
            database: where the jobs are.
            kind: the jobs whose files are deleted.
            delete: deletes the files of a job, by the ids of its project and of itself.
            days: how long files are kept after the end of their job.
        """
        self._database = database
        self._kind = kind
        self._delete = delete
        self._lifetime = timedelta(days=days)

    async def run(self) -> None:
        """Deletes again and again, until cancelled."""
        await sweep_for_ever(self.sweep)

    async def sweep(self) -> int:
        """Deletes what is old, up to a hundred jobs at once; returns of how many jobs."""
        old = (
            select(JobRow)
            .where(
                JobRow.kind == self._kind,
                JobRow.state == JobState.SUCCEEDED.value,
                JobRow.end_time < func.now() - self._lifetime,
                JobRow.result["is_deleted"].is_(None),
            )
            .order_by(JobRow.sequence)
            .limit(_SWEPT_AT_ONCE)
        )
        async with self._database.transaction() as session:
            rows = (await session.scalars(old)).all()
        for row in rows:
            await self._delete(row.project, row.id)
        async with self._database.transaction() as session:
            for row in rows:
                deleted = {**(row.result or {}), "is_deleted": True}
                await session.execute(update(JobRow).where(JobRow.sequence == row.sequence).values(result=deleted))
        return len(rows)


class DiscardedFiles:
    """Deletes the files that were noted to be deleted."""

    def __init__(self, database: Database, objects: Objects, delay_seconds: float) -> None:
        """Prepares it.

        Args:
            database: where the files are noted.
            objects: where they are.
            delay_seconds: how long they are left alone: by then, whoever was still writing one has given up.
        """
        self._database = database
        self._objects = objects
        self._delay = timedelta(seconds=delay_seconds)

    async def run(self) -> None:
        """Deletes again and again, until cancelled."""
        await sweep_for_ever(self.sweep)

    async def sweep(self) -> int:
        """Deletes up to a hundred files, and only then forgets them; returns how many."""
        noted = (
            select(DiscardedFileRow)
            .where(DiscardedFileRow.discard_time < func.now() - self._delay)
            .order_by(DiscardedFileRow.sequence)
            .limit(_SWEPT_AT_ONCE)
        )
        async with self._database.transaction() as session:
            rows = (await session.scalars(noted)).all()
        for row in rows:
            await self._objects.delete(row.key)
        done = DiscardedFileRow.sequence.in_([row.sequence for row in rows])
        async with self._database.transaction() as session:
            await session.execute(delete(DiscardedFileRow).where(done))
        return len(rows)
