"""Writing the report of a training and storing it with the model."""

import asyncio
import hashlib
import importlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sightsmith.database import utc_now
from sightsmith.names import ModelName
from sightsmith.objects import Objects
from sightsmith_training.engine.contract import TrainingResult, TrainingSpec
from sightsmith_training.evaluations.matching import Rules, match
from sightsmith_training.report_files import StoredReportFile
from sightsmith_training.thumbnails import fetch_thumbnails

# Not loaded at the start of a worker: what fits curves and fills templates takes most of a second.
_WRITING = "sightsmith_training.engine.reports.training_report"
if TYPE_CHECKING:
    from sightsmith_training.engine.reports.training_report import FinishedTraining

_FOLDER = "report"


class ReportPublishing:
    """Writes reports and stores them."""

    def __init__(self, objects: Objects, most_thumbnails: int) -> None:
        """Makes nothing yet.

        Args:
            objects: where the images are and the reports go.
            most_thumbnails: how many judged images a page shows.
        """
        self._objects = objects
        self._most_thumbnails = most_thumbnails

    async def prepare(self) -> None:
        """Loads what writing needs, so that the first report need not wait for it."""
        await asyncio.to_thread(importlib.import_module, _WRITING)

    async def publish(
        self, model: ModelName, snapshot: str, spec: TrainingSpec, result: TrainingResult
    ) -> Sequence[StoredReportFile]:
        """Writes and stores the report of a training.

        Args:
            model: the version that it made.
            snapshot: resource name of what it learned from.
            spec: what was to be trained.
            result: what came of it.

        Raises:
            UnavailableError: if the object store cannot be reached.
        """
        training = await asyncio.to_thread(_finished, model, snapshot, spec, result)
        shown = await asyncio.to_thread(training.shown, self._most_thumbnails)
        thumbnails = await fetch_thumbnails(self._objects, shown, spec.image_limits)
        files = await asyncio.to_thread(_write, spec.output_dir / _FOLDER, training, thumbnails)
        for path, file in files:
            await self._objects.put_file(file.key, path)
        return [file for _, file in files]


def _finished(model: ModelName, snapshot: str, spec: TrainingSpec, result: TrainingResult) -> "FinishedTraining":
    from sightsmith_training.engine.reports.training_report import FinishedTraining

    now = utc_now()
    return FinishedTraining(
        model=model,
        snapshot=snapshot,
        entries=spec.entries,
        result=result,
        matches=match(Rules.of(result.task, result.labels, result.thresholds), result.predictions),
        object_store_url=spec.object_store_url,
        start_time=now - timedelta(seconds=sum(result.phase_seconds.values())),
        end_time=now,
    )


def _write(
    folder: Path, training: "FinishedTraining", thumbnails: Mapping[str, bytes]
) -> list[tuple[Path, StoredReportFile]]:
    from sightsmith_training.engine.reports.training_report import write_training_report

    folder.mkdir(exist_ok=True)
    paths = write_training_report(folder, training, lambda entry: thumbnails[entry.image], len(thumbnails))
    return [(path, _described(training.model, path)) for path in paths]


def _described(model: ModelName, path: Path) -> StoredReportFile:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    # The key holds the content's hash, so that a worker that was taken for dead overwrites nothing of another's.
    key = f"models/{model.project}/{model.model}/report-{sha256[:16]}/{path.name}"
    return StoredReportFile(path=path.name, key=key, sha256=sha256, size_bytes=path.stat().st_size)
