"""Evaluations as they are kept: a model's own one, and those by other images."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.errors import NotFoundError
from sightsmith.names import EvaluationName, ModelName
from sightsmith_training.engine.evaluation_result import Evaluation
from sightsmith_training.evaluations.selection import JudgedSelection
from sightsmith_training.models import Model, model_id, model_row
from sightsmith_training.tables import EvaluationRow, ModelRow


@dataclass(frozen=True)
class StoredEvaluation:
    """How good a model is, and by which images.

    Attributes:
        name: of the evaluation.
        labels: of the model.
        snapshot: resource name of what the images are of.
        figures: everything that was computed.
        create_time: when it was made.
        selection: which images were left out; None for the model's own evaluation.
    """

    name: EvaluationName
    labels: Sequence[str]
    snapshot: str
    figures: Evaluation
    create_time: datetime
    selection: JudgedSelection | None = None

    @classmethod
    def own_of(cls, model: Model) -> "StoredEvaluation":
        """The one that the training made."""
        name = EvaluationName(model.name.project, model.name.model)
        return cls(name, model.labels, model.snapshot, model.evaluation, model.create_time)


def evaluation_of(model: ModelRow, row: EvaluationRow) -> StoredEvaluation:
    """The evaluation that a row of a model stands for."""
    return StoredEvaluation(
        name=EvaluationName(model.project, model_id(model.number), row.resource_id or ""),
        labels=model.labels,
        snapshot=row.snapshot,
        figures=Evaluation.model_validate(row.figures),
        create_time=row.create_time,
        selection=None if row.is_own else JudgedSelection.model_validate(row.selection),
    )


async def evaluation_row(session: AsyncSession, name: EvaluationName) -> tuple[ModelRow, EvaluationRow]:
    """The rows of a model and of one of its evaluations.

    Raises:
        NotFoundError: if there is no such model, or it has no such evaluation.
    """
    model = await model_row(session, ModelName(name.project, name.model))
    if not name.evaluation:
        return model, model.own_evaluation
    query = select(EvaluationRow).where(
        EvaluationRow.model_id == model.id, EvaluationRow.resource_id == name.evaluation
    )
    row = await session.scalar(query)
    if row is None:
        raise NotFoundError(str(name))
    return model, row
