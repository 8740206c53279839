"""Deleting the files that jobs have written, once they are old."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from sqlalchemy import func, select, update

from sightsmith.database import Database
from sightsmith_labeling.imports.uploaded_files import sweep_for_ever
from sightsmith_labeling.jobs.job import JobState
from sightsmith_labeling.jobs.tables import JobRow

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
