"""Deleting the files of validations that are old."""

from datetime import timedelta

from sqlalchemy import func, select, update

from sightsmith.database import Database
from sightsmith.objects import Objects
from sightsmith_labeling.imports.uploaded_files import sweep_for_ever
from sightsmith_labeling.jobs.job import JobState
from sightsmith_labeling.jobs.tables import JobRow
from sightsmith_labeling.validation.request import VALIDATION_JOBS, validation_folder

_SWEPT_AT_ONCE = 100


class ValidationUpkeep:
    """Deletes old files; the jobs and what they found stay."""

    def __init__(self, database: Database, objects: Objects, days: float) -> None:
        self._database = database
        self._objects = objects
        self._lifetime = timedelta(days=days)

    async def run(self) -> None:
        """Deletes again and again, until cancelled."""
        await sweep_for_ever(self._sweep)

    async def _sweep(self) -> int:
        old = (
            select(JobRow)
            .where(
                JobRow.kind == VALIDATION_JOBS,
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
            await self._objects.delete_prefix(validation_folder(row.project, row.id))
        async with self._database.transaction() as session:
            for row in rows:
                deleted = {**(row.result or {}), "is_deleted": True}
                await session.execute(update(JobRow).where(JobRow.sequence == row.sequence).values(result=deleted))
        return len(rows)
