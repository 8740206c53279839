"""Result files of new versions that are yet to be written where users want them."""

import asyncio
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from sightsmith.database import Database, utc_now
from sightsmith.logs import get_logger
from sightsmith.objects import Objects
from sightsmith_training.report_files import StoredReport, StoredReportFile
from sightsmith_training.report_outputs import NOT_WRITTEN, ReportOutputs
from sightsmith_training.tables import ModelRow
from sightsmith_training.work_folders import process_folder

_log = get_logger(__name__)


class DueOutputs:
    """Writes them, and tries again for a while where that fails.

    They are written after the transaction that makes a version visible, which notes that they are due: a training that
    is cancelled or taken away at its end leaves no files of a version that never comes to be, and a worker that is
    lost before it has written them leaves that to others. Writing twice does no harm.
    """

    def __init__(
        self, database: Database, objects: Objects, outputs: ReportOutputs, work_dir: Path, patience_seconds: float
    ) -> None:
        """Prepares it.

        Args:
            database: where the models are.
            objects: where their files are.
            outputs: where users want copies.
            work_dir: for files on their way.
            patience_seconds: for how long after a model came to be its files are tried to be written.
        """
        self._database = database
        self._objects = objects
        self._outputs = outputs
        self._work_dir = work_dir
        self._patience = timedelta(seconds=patience_seconds)
        self._news = asyncio.Event()

    def look(self) -> None:
        """Lets `run` look at once for what is due."""
        self._news.set()

    async def run(self, every_seconds: float) -> None:
        """Writes what is due again and again, until cancelled."""
        while True:
            self._news.clear()
            await self.write()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), every_seconds)

    async def write(self) -> None:
        """Writes everything that is due; what cannot be written stays due, and tells why with its model."""
        due = select(ModelRow.id).where(
            ModelRow.report_files.contains([{"is_due": True}]),
            ModelRow.copied_from.is_(None),  # Nobody asked for files of copies.
        )
        models: Sequence[uuid.UUID] = ()
        with _left_for_later():
            async with self._database.transaction() as session:
                models = (await session.scalars(due)).all()
        for model in models:
            with _left_for_later():
                await self._write_of(model)

    async def _write_of(self, model: uuid.UUID) -> None:
        async with self._database.transaction() as session:
            row = await session.get(ModelRow, model)
        if row is None:
            return
        files = [file for file in map(StoredReportFile.model_validate, row.report_files) if file.is_due]
        if not files:  # Another worker has written them meanwhile.
            return
        written = await self._copied(row.project, files)
        async with self._database.transaction() as session:
            now = await session.get(ModelRow, model, with_for_update={"of": ModelRow})
            if now is not None:
                self._record(now, written)

    async def _copied(self, project: str, files: Sequence[StoredReportFile]) -> StoredReport:
        with process_folder(self._work_dir, "outputs") as folder:
            paths = [folder / file.path for file in files]
            for path, file in zip(paths, files, strict=True):
                await self._objects.get_file(file.key, path)
            return await self._outputs.write(StoredReport(files), paths, project, files[0].output_prefix)

    def _record(self, row: ModelRow, report: StoredReport) -> None:
        is_given_up = utc_now() - row.create_time > self._patience
        told = {
            file.path: file.model_copy(update={"is_due": not file.output_url and not is_given_up})
            for file in report.files
        }
        row.report_files = [
            # What another worker has written meanwhile stays as it says.
            told[file["path"]].model_dump() if file["is_due"] and file["path"] in told else file
            for file in row.report_files
        ]
        others = [problem for problem in row.report_problems if not problem.startswith(NOT_WRITTEN)]
        ending = "; given up" if is_given_up else "; it is tried again"
        row.report_problems = [*others, *(f"{problem}{ending}" for problem in report.problems)]


@contextmanager
def _left_for_later() -> Iterator[None]:
    try:
        yield
    except Exception:  # Whatever it is: it must end neither the trainings beside it nor the writing of other files.
        _log.warning("result files are written later", exc_info=True)
