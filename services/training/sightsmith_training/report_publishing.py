"""Writing the report of a training and storing it with the model, and where the user wants it."""

import asyncio
import hashlib
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sightsmith.database import utc_now
from sightsmith.errors import UnavailableError
from sightsmith.logs import get_logger
from sightsmith.names import ModelName, TrainingJobName
from sightsmith.objects import Objects
from sightsmith_training.engine.contract import Failure, TrainingResult
from sightsmith_training.engine.specification import TrainingSpec
from sightsmith_training.evaluations.matching import Rules, match
from sightsmith_training.leftovers import model_prefix
from sightsmith_training.report_files import StoredReport, StoredReportFile
from sightsmith_training.report_outputs import ReportOutputs
from sightsmith_training.thumbnails import fetch_thumbnails

# Not loaded at the start of a worker: what fits curves and fills templates takes most of a second.
_WRITING = "sightsmith_training.engine.reports.training_report"
if TYPE_CHECKING:
    from sightsmith_training.engine.reports.training_report import FinishedTraining

_FOLDER = "report"
_LONGEST_PROBLEM = 500
_log = get_logger(__name__)


class _Problems(list[str]):
    """What is missing of a report. A report is never worth losing what it tells of."""

    @contextmanager
    def noted(self, part: str) -> Iterator[None]:
        """Goes on without a part that cannot be made, unless a server is away: that is tried again with everything."""
        try:
            yield
        except UnavailableError:
            raise
        except Exception as error:
            _log.exception("a part of a report is missing", part=part)
            told = f"{part} could not be written ({type(error).__name__}: {error}); the worker's log tells more"
            self.append(told[:_LONGEST_PROBLEM])


class ReportPublishing:
    """Writes reports and stores them."""

    def __init__(self, objects: Objects, outputs: ReportOutputs, most_thumbnails: int) -> None:
        """Makes nothing yet.

        Args:
            objects: where the images are and the reports go.
            outputs: where users want copies.
            most_thumbnails: how many judged images a page shows.
        """
        self._objects = objects
        self._outputs = outputs
        self._most_thumbnails = most_thumbnails

    async def prepare(self) -> None:
        """Loads what writing needs, so that the first report need not wait for it."""
        await asyncio.to_thread(importlib.import_module, _WRITING)

    async def publish(
        self, model: ModelName, snapshot: str, spec: TrainingSpec, result: TrainingResult
    ) -> StoredReport:
        """Writes and stores the report of a training; what cannot be written is told as a problem.

        Args:
            model: the version that it made.
            snapshot: resource name of what it learned from.
            spec: what was to be trained.
            result: what came of it.

        Raises:
            UnavailableError: if the object store cannot be reached.
        """
        problems, paths = _Problems(), list[Path]()
        with problems.noted("the report"):
            folder = _made(spec.output_dir)
            training = await asyncio.to_thread(_finished, model, snapshot, spec, result)
            for part, write in _result_files(folder, training).items():
                with problems.noted(part):
                    paths += await asyncio.to_thread(write)
            with problems.noted("the page"):
                paths.append(await self._write_page(folder, training, spec))
        report = await self._store(model_prefix(model), paths, problems)
        # Only of a version that everybody can see, which this one may never become.
        return self._outputs.due(report, spec.options.output_prefix)

    async def publish_failure(self, name: TrainingJobName, spec: TrainingSpec, failure: Failure) -> StoredReport:
        """Writes and stores what is wrong with the data of a training that failed because of it.

        Args:
            name: of the job.
            spec: what was to be trained.
            failure: what came of it.

        Returns:
            Nothing for a failure of another kind.

        Raises:
            UnavailableError: if the object store cannot be reached.
        """
        problems, paths = _Problems(), list[Path]()
        with problems.noted("the report"):
            paths += await asyncio.to_thread(_write_failure, name, spec, failure)
        report = await self._store(f"trainings/{name.project}/{name.training_job}", paths, problems)
        return await self._outputs.write(report, paths, name.project, spec.options.output_prefix)

    async def _write_page(self, folder: Path, training: "FinishedTraining", spec: TrainingSpec) -> Path:
        from sightsmith_training.engine.reports.training_report import write_page

        shown = await asyncio.to_thread(training.shown, self._most_thumbnails)
        thumbnails = await fetch_thumbnails(self._objects, shown, spec.image_limits)
        return await asyncio.to_thread(
            write_page, folder, training, lambda entry: thumbnails[entry.image], len(thumbnails)
        )

    async def _store(self, prefix: str, paths: Sequence[Path], problems: Sequence[str]) -> StoredReport:
        files = [await asyncio.to_thread(_described, prefix, path) for path in paths]
        for path, file in zip(paths, files, strict=True):
            await self._objects.put_file(file.key, path)
        return StoredReport(files, tuple(problems))


def _made(output_dir: Path) -> Path:
    """The folder for the files of a report. A training that failed has left no output folder behind."""
    folder = output_dir / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    return folder


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


def _result_files(folder: Path, training: "FinishedTraining") -> Mapping[str, Callable[[], Sequence[Path]]]:
    from sightsmith_training.engine.reports.training_report import result_file_writers

    return result_file_writers(folder, training)


def _write_failure(name: TrainingJobName, spec: TrainingSpec, failure: Failure) -> Sequence[Path]:
    from sightsmith_training.engine.reports.failure_report import FailedTraining, write_failure_report

    training = FailedTraining(
        project=name.project,
        training_job=name.training_job,
        entries=spec.entries,
        wish=spec.options.task,
        failure=failure,
        object_store_url=spec.object_store_url,
        read_time=utc_now(),
    )
    return write_failure_report(_made(spec.output_dir), training) if training.is_of_data else ()


def _described(prefix: str, path: Path) -> StoredReportFile:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    # The key holds the content's hash, so that a worker that was taken for dead overwrites nothing of another's.
    key = f"{prefix}/report-{sha256[:16]}/{path.name}"
    return StoredReportFile(path=path.name, key=key, sha256=sha256, size_bytes=path.stat().st_size)
