"""Jobs that judge models by the images of any snapshot."""

import secrets
import uuid

from sightsmith.database import Database
from sightsmith.names import ModelName
from sightsmith_training.evaluations.selection import WantedImages
from sightsmith_training.jobs import EvaluationJob, Jobs, JobState
from sightsmith_training.snapshots import FrozenSnapshot
from sightsmith_training.tables import EvaluationJobRow


class EvaluationJobs(Jobs[EvaluationJob]):
    """The evaluation jobs of all projects."""

    def __init__(self, database: Database, watch_interval_seconds: float = 0.3) -> None:
        super().__init__(database, EvaluationJob, watch_interval_seconds)

    async def create(
        self, model: ModelName, snapshot: FrozenSnapshot, wanted: WantedImages, request_id: uuid.UUID | None
    ) -> EvaluationJob:
        """Queues a job in the project of the model, or returns the one that the same request queued before.

        Raises:
            AlreadyExistsError: if the request id was used with other arguments.
        """
        row = EvaluationJobRow(
            id=f"e-{secrets.token_hex(6)}",
            project=model.project,
            request_id=request_id,
            snapshot=snapshot.name,
            manifest_key=snapshot.manifest_key,
            manifest_sha256=snapshot.manifest_sha256,
            model=str(model),
            wanted=wanted.model_dump(mode="json"),
            state=JobState.QUEUED,
        )
        return await self._queue(row, (str(model), snapshot.name, wanted))
