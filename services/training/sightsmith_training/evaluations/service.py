"""What people ask about the evaluations of models."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from sightsmith.database import Database
from sightsmith.errors import FailedPreconditionError, InvalidArgumentError
from sightsmith.names import EvaluationName, ModelName
from sightsmith.paging import PageRequest, page_of
from sightsmith_training.evaluations.curves import Curves, curves_of
from sightsmith_training.evaluations.judged_images import JudgedImage, judge
from sightsmith_training.evaluations.judged_model import JudgedModel
from sightsmith_training.evaluations.listing import EVERY_IMAGE, FindingFilter, listed_images, page_key
from sightsmith_training.evaluations.stored_evaluation import StoredEvaluation, evaluation_of, evaluation_row
from sightsmith_training.evaluations.storing import answer_of, answer_table
from sightsmith_training.models import model_row, rules_of
from sightsmith_training.tables import EvaluationRow

if TYPE_CHECKING:
    from sightsmith_training.evaluations.comparing import ModelComparison

_MOST_COMPARED_IMAGES = 100


class Evaluations:
    """The evaluations of models, their own and others."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, name: EvaluationName) -> StoredEvaluation:
        """Finds an evaluation.

        Raises:
            NotFoundError: if there is none of that name.
        """
        async with self._database.transaction() as session:
            return evaluation_of(*await evaluation_row(session, name))

    async def page(self, name: ModelName, request: PageRequest) -> tuple[Sequence[StoredEvaluation], str]:
        """A page of a model's evaluations by other images, newest first, and the token of the next page.

        Raises:
            NotFoundError: if there is no model of that name.
        """
        async with self._database.transaction() as session:
            model = await model_row(session, name)
            query = select(EvaluationRow).where(EvaluationRow.model_id == model.id, ~EvaluationRow.is_own)
            if request.after is not None:
                query = query.where(EvaluationRow.job_sequence < request.after_number)
            query = query.order_by(EvaluationRow.job_sequence.desc()).limit(request.size + 1)
            rows = (await session.scalars(query)).all()
        page, token = page_of(rows, request, lambda row: row.job_sequence or 0)
        return [evaluation_of(model, row) for row in page], token

    async def delete(self, name: EvaluationName) -> None:
        """Deletes an evaluation with what the model said of its images.

        Raises:
            NotFoundError: if there is none of that name.
            FailedPreconditionError: if it is the model's own one.
        """
        async with self._database.transaction() as session:
            _, row = await evaluation_row(session, name)
            if row.is_own:
                raise FailedPreconditionError(
                    f"{name} is the model's own evaluation, which goes with the model",
                    reason="IN_USE",
                    metadata={"name": str(name)},
                )
            # By itself, not through the session: the database takes the evaluated images along.
            await session.execute(delete(EvaluationRow).where(EvaluationRow.id == row.id))

    async def images(
        self, name: EvaluationName, request: PageRequest, wanted: FindingFilter = EVERY_IMAGE
    ) -> tuple[Sequence[JudgedImage], str]:
        """A page of the images that a model was judged by, and the token of the next page.

        Raises:
            NotFoundError: if there is no evaluation of that name.
            InvalidArgumentError: if the model does not know the label that is looked for.
        """
        async with self._database.transaction() as session:
            model, evaluation = await evaluation_row(session, name)
            if wanted.label and wanted.label not in model.labels:
                raise InvalidArgumentError.of_field(
                    "filter.label", f"{wanted.label[:80]!r} is not a label of {name.of_model}"
                )
            query = listed_images(evaluation.id, request, wanted)
            rows = (await session.scalars(query)).all()
            rules = rules_of(model)
        page, token = page_of(rows, request, page_key)
        return await asyncio.to_thread(judge, rules, [answer_of(row) for row in page]), token

    async def curves(self, name: EvaluationName) -> Curves:
        """What other thresholds of a model would give.

        Raises:
            NotFoundError: if there is no evaluation of that name.
        """
        model = await self._judged(name)
        return await asyncio.to_thread(lambda: curves_of(model.matches()))

    async def compare(self, baseline: EvaluationName, candidate: EvaluationName) -> "ModelComparison":
        """Compares two models on the images that both were judged by in these evaluations.

        Raises:
            NotFoundError: if there is no evaluation of one of the names.
            InvalidArgumentError: if they cannot be compared, because one is a detector and the other is not, or no
                image was judged by both.
        """
        first, second = await self._judged(baseline), await self._judged(candidate)
        _require_comparable(first, second)
        return await asyncio.to_thread(_compare, first, second)

    async def _judged(self, name: EvaluationName) -> JudgedModel:
        async with self._database.transaction() as session:
            model, evaluation = await evaluation_row(session, name)
            answers = await answer_table(session, evaluation.id)
            return JudgedModel(str(name.of_model), rules_of(model), answers)


def _require_comparable(baseline: JudgedModel, candidate: JudgedModel) -> None:
    if baseline.rules.finds_boxes != candidate.rules.finds_boxes:
        rule = f"must be of one kind: of {baseline.name} and {candidate.name} only one is a detector"
        raise InvalidArgumentError.of_field("candidate", rule)
    before, after = baseline.answers.images, candidate.answers.images
    if set(before).isdisjoint(after):
        judged = f"{baseline.name} by {len(before)} and {candidate.name} by {len(after)} images"
        raise InvalidArgumentError.of_field(
            "candidate", f"must have been judged by images that the baseline was judged by too: {judged}, none of both"
        )


def _compare(baseline: JudgedModel, candidate: JudgedModel) -> "ModelComparison":
    # Not at the start of the service, because what tells significance takes a third of a second to load.
    from sightsmith_training.evaluations.comparing import compare

    return compare(baseline, candidate, _MOST_COMPARED_IMAGES)
