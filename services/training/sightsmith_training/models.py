"""Model versions and how good they are."""

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import BaseModel, ConfigDict, TypeAdapter
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database
from sightsmith.errors import AbortedError, NotFoundError
from sightsmith.names import ModelName, TrainingJobName
from sightsmith.paging import PageRequest, page_of
from sightsmith_training.engine.contract import Candidate, ExportFormat, ModelVariant, Parity, Recommendation
from sightsmith_training.engine.evaluation_result import Evaluation, ImagePrediction
from sightsmith_training.engine.specification import Task
from sightsmith_training.evaluations.matching import Rules
from sightsmith_training.evaluations.storing import add_images
from sightsmith_training.model_listing import ALL_MODELS, ModelFilter, ModelOrder, listed_models
from sightsmith_training.report_files import StoredReportFile
from sightsmith_training.tables import EvaluationRow, ModelNumberRow, ModelRow

_TASK: TypeAdapter[Task] = TypeAdapter(Task)
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
    """A model version. `revision` counts its changes; the last was at `update_time`."""

    name: ModelName
    number: int
    training_job: TrainingJobName
    snapshot: str
    task: Task
    labels: Sequence[str]
    thresholds: Sequence[float]
    image_side: int
    seed: int
    candidates: Sequence[Candidate]
    library_versions: dict[str, str]
    artifacts: Sequence[StoredArtifact]
    parity: Parity
    evaluation: Evaluation
    training_seconds: float
    create_time: datetime
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    copied_from: str = ""
    revision: int = 1
    update_time: datetime | None = None
    report_files: Sequence[StoredReportFile] = ()
    variants: Sequence[ModelVariant] = ()
    recommendations: Sequence[Recommendation] = ()
    report_problems: Sequence[str] = ()
    left_out_labels: Sequence[str] = ()

    @property
    def etag(self) -> str:
        """Another one after every change."""
        return etag_of(self.revision)


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
            return model_of(await model_row(session, name))

    async def page(
        self,
        project: str,
        request: PageRequest,
        wanted: ModelFilter = ALL_MODELS,
        order: ModelOrder = ModelOrder.NEWEST,
    ) -> tuple[Sequence[Model], str]:
        """A page of a project's models, and the token of the next page."""
        async with self._database.transaction() as session:
            rows = (await session.execute(listed_models(project, request, wanted, order))).tuples().all()
        page, token = page_of(rows, request, lambda row: row[1])
        return [model_of(row) for row, _ in page], token


def model_id(number: int) -> str:
    """The last part of a model's name."""
    return f"v{number}"


def etag_of(revision: int) -> str:
    """The etag of a model's revision."""
    return f'"{revision}"'


async def next_model_number(session: AsyncSession, project: str) -> int:
    """A number for a new model of a project, which is never given again."""
    first = insert(ModelNumberRow).values(project=project, last_number=1)
    number: int | None = await session.scalar(
        first.on_conflict_do_update(
            index_elements=[ModelNumberRow.project], set_={"last_number": ModelNumberRow.last_number + 1}
        ).returning(ModelNumberRow.last_number)
    )
    assert number is not None  # noqa: S101 - the insert returns a row
    return number


async def add_model(session: AsyncSession, model: Model, predictions: Sequence[ImagePrediction]) -> None:
    """Writes a model with the images that it was judged by."""
    row = ModelRow(
        id=uuid.uuid4(),
        project=model.name.project,
        number=model.number,
        training_job=str(model.training_job),
        snapshot=model.snapshot,
        task=model.task,
        labels=list(model.labels),
        thresholds=list(model.thresholds),
        image_side=model.image_side,
        seed=model.seed,
        candidates=[candidate.model_dump() for candidate in model.candidates],
        library_versions=model.library_versions,
        artifacts=[artifact.model_dump() for artifact in model.artifacts],
        report_files=[file.model_dump() for file in model.report_files],
        report_problems=list(model.report_problems),
        left_out_labels=list(model.left_out_labels),
        parity=model.parity.model_dump(),
        variants=[variant.model_dump() for variant in model.variants],
        recommendations=[recommendation.model_dump() for recommendation in model.recommendations],
        training_seconds=model.training_seconds,
        create_time=model.create_time,
        update_time=model.create_time,
        own_evaluation=EvaluationRow(
            id=uuid.uuid4(),
            is_own=True,
            snapshot=model.snapshot,
            figures=model.evaluation.model_dump(),
            create_time=model.create_time,
        ),
    )
    session.add(row)
    await session.flush()  # the images refer to the evaluation
    await add_images(session, row.own_evaluation.id, rules_of(row), predictions)


async def model_row(session: AsyncSession, name: ModelName) -> ModelRow:
    """The row of a model.

    Raises:
        NotFoundError: if there is none of that name.
    """
    return await _found(session, name, for_update=False)


async def locked_model_row(session: AsyncSession, name: ModelName, etag: str = "") -> ModelRow:
    """The row of a model, locked until the transaction ends.

    Args:
        session: of the transaction.
        name: of the model.
        etag: that the caller read; empty if any will do.

    Raises:
        NotFoundError: if there is none of that name.
        AbortedError: if the etag is another one now.
    """
    row = await _found(session, name, for_update=True)
    now = etag_of(row.revision)
    if etag and etag != now:
        message = f"{name} was changed meanwhile: its etag is {now}, not {etag[:80]}; read it again"
        raise AbortedError(message, metadata={"name": str(name), "etag": now})
    return row


async def _found(session: AsyncSession, name: ModelName, for_update: bool) -> ModelRow:
    if _MODEL_ID.fullmatch(name.model) is None:
        raise NotFoundError(str(name))
    number = int(name.model.removeprefix("v"))
    query = select(ModelRow).where(ModelRow.project == name.project, ModelRow.number == number)
    row: ModelRow | None = await session.scalar(query.with_for_update() if for_update else query)
    if row is None:
        raise NotFoundError(str(name))
    return row


def model_of(row: ModelRow) -> Model:
    """The model that a row stands for."""
    return Model(
        name=ModelName(row.project, model_id(row.number)),
        number=row.number,
        training_job=TrainingJobName.parse(row.training_job),
        snapshot=row.snapshot,
        task=_TASK.validate_python(row.task),
        labels=row.labels,
        thresholds=row.thresholds,
        image_side=row.image_side,
        seed=row.seed,
        candidates=[Candidate.model_validate(candidate) for candidate in row.candidates],
        library_versions=row.library_versions,
        artifacts=[StoredArtifact.model_validate(artifact) for artifact in row.artifacts],
        parity=Parity.model_validate(row.parity),
        evaluation=Evaluation.model_validate(row.own_evaluation.figures),
        training_seconds=row.training_seconds,
        create_time=row.create_time,
        description=row.description,
        tags=row.tags,
        copied_from=row.copied_from or "",
        revision=row.revision,
        update_time=row.update_time,
        report_files=[StoredReportFile.model_validate(file) for file in row.report_files],
        variants=[ModelVariant.model_validate(variant) for variant in row.variants],
        recommendations=[Recommendation.model_validate(recommendation) for recommendation in row.recommendations],
        report_problems=row.report_problems,
        left_out_labels=row.left_out_labels,
    )


def rules_of(row: ModelRow) -> Rules:
    """What the model predicts, given its scores."""
    return Rules.of(_TASK.validate_python(row.task), row.labels, row.thresholds)
