"""From a finished training to a model that everybody can see: files first, then one transaction."""

import hashlib
from pathlib import Path

from sightsmith.api.events.v1.event_pb2 import ModelCreated
from sightsmith.database import Database, utc_now
from sightsmith.events.outbox import tell
from sightsmith.names import ModelName
from sightsmith.objects import Objects
from sightsmith_training.engine.contract import ExportedFile, TrainingResult
from sightsmith_training.engine.specification import TrainingSpec
from sightsmith_training.jobs import JobState, end_job
from sightsmith_training.leases import Lease, Leases, locked_row
from sightsmith_training.leftovers import model_prefix
from sightsmith_training.models import Model, StoredArtifact, add_model, model_id
from sightsmith_training.report_publishing import ReportPublishing
from sightsmith_training.tables import Outbox, TrainingJobRow
from sightsmith_training.triton_config import triton_config, triton_model_name

CONFIG_FILE = "config.pbtxt"


class Publisher:
    """Stores the artefacts of a training and makes its model visible."""

    def __init__(self, database: Database, objects: Objects, leases: Leases, reports: ReportPublishing) -> None:
        """Prepares it.

        Args:
            database: where the models are.
            objects: where their files go.
            leases: of the jobs.
            reports: writes what is told of a training.
        """
        self._database = database
        self._objects = objects
        self._leases = leases
        self._reports = reports

    async def publish(self, lease: Lease, result: TrainingResult, spec: TrainingSpec) -> Model:
        """Publishes a result. Trying again after a crash writes the same exported files under the same names.

        Args:
            lease: of the job.
            result: what came of it.
            spec: what was to be trained.

        Raises:
            LeaseLostError: if the job is not this worker's any more; then nothing becomes visible.
            UnavailableError: if the database or the object store cannot be reached.
        """
        number = await self._leases.reserve_model_number(lease)
        name = ModelName(lease.name.project, model_id(number))
        artifacts = [
            stored for file in result.artifacts for stored in await self._store(name, file, result, spec.output_dir)
        ]
        report = await self._reports.publish(name, lease.snapshot, spec, result)
        async with self._database.transaction() as session:
            now = utc_now()
            model = Model(
                name=name,
                number=number,
                training_job=lease.name,
                snapshot=lease.snapshot,
                task=result.task,
                labels=result.labels,
                thresholds=result.thresholds,
                image_side=result.image_side,
                seed=result.seed,
                candidates=[result.chosen, *(c for c in result.candidates if c != result.chosen)],
                library_versions=result.library_versions,
                artifacts=artifacts,
                parity=result.parity,
                variants=result.variants,
                recommendations=result.recommendations,
                evaluation=result.evaluation,
                training_seconds=(now - lease.start_time).total_seconds(),
                create_time=now,
                report_files=report.files,
                report_problems=report.problems,
                left_out_labels=result.left_out_labels,
            )
            await add_model(session, model, result.predictions)
            # Last: many images take longer to write than the lease lasts, and its heartbeat needs the row, too.
            row = await locked_row(session, TrainingJobRow, lease)
            row.notes = [advice.text for advice in result.evaluation.advice if advice.code == "BUDGET_EXCEEDED"]
            row.model = str(name)
            await end_job(session, row, JobState.SUCCEEDED)
            tell(session, Outbox, ModelCreated(model=str(name)))
        return model

    async def _store(
        self, model: ModelName, file: ExportedFile, result: TrainingResult, output_dir: Path
    ) -> list[StoredArtifact]:
        """Stores an exported file and its `config.pbtxt`, laid out as a model's folder in a Triton repository."""
        triton_name = triton_model_name(model.project, model.model, file.format, file.sha256)
        # The name holds the content's hash, so that a worker that was taken for dead overwrites nothing of another's.
        prefix = f"{model_prefix(model)}/{triton_name}"
        path = file.path.removeprefix(f"{file.format}/")
        exported = StoredArtifact(
            format=file.format, path=path, key=f"{prefix}/{path}", sha256=file.sha256, size_bytes=file.size_bytes
        )
        await self._objects.put_file(exported.key, output_dir / file.path)
        finds_boxes = result.task == "detection"
        text = triton_config(
            triton_name, file.format, result.image_side, len(result.labels), finds_boxes=finds_boxes
        ).encode()
        config = StoredArtifact(
            format=file.format,
            path=CONFIG_FILE,
            key=f"{prefix}/{CONFIG_FILE}",
            sha256=hashlib.sha256(text).hexdigest(),
            size_bytes=len(text),
        )
        await self._objects.put(config.key, text)
        return [config, exported]
