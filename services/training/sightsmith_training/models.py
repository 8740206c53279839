"""Model versions and how good they are."""

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database
from sightsmith.errors import NotFoundError
from sightsmith.names import ModelName, TrainingJobName
from sightsmith.paging import PageRequest, page_of
from sightsmith_training.engine.contract import Candidate, Evaluation, ExportFormat, ImagePrediction, Parity
from sightsmith_training.tables import EvaluatedImageRow, ModelRow

# As many digits as surely fit into a PostgreSQL bigint.
_MODEL_ID = re.compile(r"v[1-9][0-9]{0,17}")


class StoredArtifact(BaseModel):
    """A file of an exported model in the object store; `path` is its place in the Triton model's folder."""

    model_config = ConfigDict(frozen=True)

    format: ExportFormat
    path: str
    key: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Model:
    """A model version."""

    name: ModelName
    number: int
    training_job: TrainingJobName
    snapshot: str
    labels: Sequence[str]
    image_side: int
    seed: int
    candidates: Sequence[Candidate]
    library_versions: dict[str, str]
    artifacts: Sequence[StoredArtifact]
    parity: Parity
    evaluation: Evaluation
    training_seconds: float
    create_time: datetime


class Models:
    """The models of all projects."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, name: ModelName) -> Model:
        """Finds a model.

        Raises:
            NotFoundError: if there is none of that name.
        """
        async with self._database.transaction() as session:
            return _model_of(await _row_of(session, name))

    async def page(self, project: str, request: PageRequest) -> tuple[Sequence[Model], str]:
        """A page of a project's models, newest first, and the token of the next page."""
        query = select(ModelRow).where(ModelRow.project == project)
        if request.after is not None:
            query = query.where(ModelRow.number < request.after_number)
        query = query.order_by(ModelRow.number.desc()).limit(request.size + 1)
        async with self._database.transaction() as session:
            models = [_model_of(row) for row in await session.scalars(query)]
        return page_of(models, request, lambda model: model.number)

    async def evaluated_images(self, name: ModelName, request: PageRequest) -> tuple[Sequence[ImagePrediction], str]:
        """A page of the images that a model was judged by, and the token of the next page.

        Raises:
            NotFoundError: if there is no model of that name.
        """
        async with self._database.transaction() as session:
            model = await _row_of(session, name)
            query = select(EvaluatedImageRow).where(EvaluatedImageRow.model_id == model.id)
            if request.after is not None:
                query = query.where(EvaluatedImageRow.rank > request.after_number)
            rows = (await session.scalars(query.order_by(EvaluatedImageRow.rank).limit(request.size + 1))).all()
        page, token = page_of(rows, request, lambda row: row.rank)
        return [_prediction_of(row) for row in page], token


def model_id(number: int) -> str:
    """The last part of a model's name."""
    return f"v{number}"


async def add_model(session: AsyncSession, model: Model, predictions: Sequence[ImagePrediction]) -> None:
    """Writes a model with the images that it was judged by, the most confident mistakes first."""
    row = ModelRow(
        id=uuid.uuid4(),
        project=model.name.project,
        number=model.number,
        training_job=str(model.training_job),
        snapshot=model.snapshot,
        labels=list(model.labels),
        image_side=model.image_side,
        seed=model.seed,
        candidates=[candidate.model_dump() for candidate in model.candidates],
        library_versions=model.library_versions,
        artifacts=[artifact.model_dump() for artifact in model.artifacts],
        parity=model.parity.model_dump(),
        evaluation=model.evaluation.model_dump(),
        training_seconds=model.training_seconds,
        create_time=model.create_time,
    )
    session.add(row)
    await session.flush()  # the images refer to it
    mistakes_first = sorted(predictions, key=lambda p: (p.true_label == p.predicted_label, -p.confidence, p.image))
    session.add_all(
        EvaluatedImageRow(model_id=row.id, rank=rank, **prediction.model_dump())
        for rank, prediction in enumerate(mistakes_first)
    )


async def _row_of(session: AsyncSession, name: ModelName) -> ModelRow:
    if _MODEL_ID.fullmatch(name.model) is None:
        raise NotFoundError(str(name))
    number = int(name.model.removeprefix("v"))
    row = await session.scalar(select(ModelRow).where(ModelRow.project == name.project, ModelRow.number == number))
    if row is None:
        raise NotFoundError(str(name))
    return row


def _model_of(row: ModelRow) -> Model:
    return Model(
        name=ModelName(row.project, model_id(row.number)),
        number=row.number,
        training_job=TrainingJobName.parse(row.training_job),
        snapshot=row.snapshot,
        labels=row.labels,
        image_side=row.image_side,
        seed=row.seed,
        candidates=[Candidate.model_validate(candidate) for candidate in row.candidates],
        library_versions=row.library_versions,
        artifacts=[StoredArtifact.model_validate(artifact) for artifact in row.artifacts],
        parity=Parity.model_validate(row.parity),
        evaluation=Evaluation.model_validate(row.evaluation),
        training_seconds=row.training_seconds,
        create_time=row.create_time,
    )


def _prediction_of(row: EvaluatedImageRow) -> ImagePrediction:
    return ImagePrediction(
        image=row.image,
        source=row.source,
        true_label=row.true_label,
        predicted_label=row.predicted_label,
        confidence=row.confidence,
        scores=row.scores,
    )
