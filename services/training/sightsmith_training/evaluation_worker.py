"""The part of a worker that judges models by other images, beside the part that trains.

It has jobs of its own, so that an evaluation of a minute does not wait for a training of an hour. It uses half of the
cores and no torch.
"""

import asyncio
from pathlib import Path

from prometheus_client import Counter, Gauge
from sqlalchemy import select

from sightsmith.database import Database
from sightsmith.objects import Objects, open_object_store
from sightsmith_training.engine.contract import Answers, Failure, TrainingResult
from sightsmith_training.engine.errors import TrainingError
from sightsmith_training.engine.specification import AnsweringSpec
from sightsmith_training.evaluation_publishing import EvaluationPublishing
from sightsmith_training.evaluations.selection import SelectedImages, select_images
from sightsmith_training.job_worker import JobHeartbeat, JobWorker, ask
from sightsmith_training.jobs import JobProgress
from sightsmith_training.leases import EvaluationLease, EvaluationLeases
from sightsmith_training.models import Model, Models, StoredArtifact
from sightsmith_training.settings import TrainingSettings
from sightsmith_training.snapshots import read_manifest
from sightsmith_training.tables import TrainingJobRow
from sightsmith_training.training_process import TrainingProcess

_ONNX_FILE = "1/model.onnx"
_jobs = Counter("sightsmith_training_evaluations_total", "Evaluations that this worker ended, by outcome.", ["outcome"])
_busy = Gauge("sightsmith_training_evaluation_worker_busy", "1 while the worker is at an evaluation.")


class EvaluationWorker(JobWorker[EvaluationLease]):
    """Takes one evaluation at a time, runs the model in a child process, and publishes what came of it."""

    def __init__(self, settings: TrainingSettings, database: Database) -> None:
        super().__init__(
            settings, EvaluationLeases(database, settings.lease_seconds, settings.max_attempts), _jobs, _busy
        )
        self._database = database
        self._objects = Objects(open_object_store(settings.object_store_url))
        self._models = Models(database)
        self._publishing = EvaluationPublishing(database)

    async def carry_out(self, lease: EvaluationLease, folder: Path, beat: JobHeartbeat) -> Failure | None:
        """Judges a model."""
        model = await self._models.get(lease.model)
        try:
            selected = await beat.beside(self._select(lease, model))
        except TrainingError as error:
            return error.failure
        outcome = await beat.beside(self._answers(model, selected, folder, beat))
        if isinstance(outcome, Failure):
            return outcome
        beat.progress = JobProgress(phase="publishing", percent=99)
        await beat.beside(self._publishing.publish(lease, selected, outcome))
        return None

    async def _select(self, lease: EvaluationLease, model: Model) -> SelectedImages:
        entries = await read_manifest(self._objects, lease.manifest_key, lease.manifest_sha256)
        learned = await self._learned_by(model)
        return await asyncio.to_thread(select_images, entries, lease.wanted, model.task, model.labels, learned)

    async def _learned_by(self, model: Model) -> set[str]:
        """SHA-256 of the images that a model, or the one that it is a copy of, learned from."""
        job = model.training_job
        query = select(TrainingJobRow).where(
            TrainingJobRow.project == job.project, TrainingJobRow.id == job.training_job
        )
        async with self._database.transaction() as session:
            row = await session.scalar(query)
        if row is None:
            return set()
        entries = await read_manifest(self._objects, row.manifest_key, row.manifest_sha256)
        return {entry.sha256 for entry in entries if entry.split == "train"}

    async def _answers(
        self, model: Model, selected: SelectedImages, folder: Path, beat: JobHeartbeat
    ) -> Answers | Failure:
        process = await TrainingProcess.start(folder)
        outcome = await ask(process, self._specify(model, selected, folder), beat, self._settings.max_silence_seconds)
        assert not isinstance(outcome, TrainingResult)  # noqa: S101 - it was asked for answers
        return outcome

    def _specify(self, model: Model, selected: SelectedImages, folder: Path) -> AnsweringSpec:
        file = _onnx_file_of(model)
        return AnsweringSpec(
            entries=list(selected.entries),
            object_store_url=self._settings.object_store_url,
            output_dir=folder,
            model_key=file.key,
            model_sha256=file.sha256,
            task=model.task,
            labels=list(model.labels),
            image_side=model.image_side,
            threads=self._settings.evaluation_threads,
            image_limits=self._settings.image_limits,
        )


def _onnx_file_of(model: Model) -> StoredArtifact:
    return next(file for file in model.artifacts if file.format == "onnx" and file.path == _ONNX_FILE)
