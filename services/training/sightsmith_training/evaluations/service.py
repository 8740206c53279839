"""What people ask about the evaluations of models."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sightsmith.database import Database
from sightsmith.errors import InvalidArgumentError
from sightsmith.names import ModelName
from sightsmith.paging import PageRequest, page_of
from sightsmith_training.evaluations.curves import Curves, curves_of
from sightsmith_training.evaluations.judged_images import JudgedImage, judge
from sightsmith_training.evaluations.judged_model import JudgedModel
from sightsmith_training.evaluations.listing import EVERY_IMAGE, FindingFilter, listed_images, page_key
from sightsmith_training.evaluations.storing import answer_of, answers_of
from sightsmith_training.models import model_row, rules_of

if TYPE_CHECKING:
    from sightsmith_training.evaluations.comparing import ModelComparison


class Evaluations:
    """The models' own evaluations."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def images(
        self, name: ModelName, request: PageRequest, wanted: FindingFilter = EVERY_IMAGE
    ) -> tuple[Sequence[JudgedImage], str]:
        """A page of the images that a model was judged by, and the token of the next page.

        Raises:
            NotFoundError: if there is no model of that name.
            InvalidArgumentError: if it does not know the label that is looked for.
        """
        async with self._database.transaction() as session:
            model = await model_row(session, name)
            if wanted.label and wanted.label not in model.labels:
                raise InvalidArgumentError.of_field("filter.label", f"{wanted.label[:80]!r} is not a label of {name}")
            query = listed_images(model.own_evaluation.id, request, wanted)
            rows = (await session.scalars(query)).all()
            rules = rules_of(model)
        page, token = page_of(rows, request, page_key)
        return await asyncio.to_thread(judge, rules, [answer_of(row) for row in page]), token

    async def curves(self, name: ModelName) -> Curves:
        """What other thresholds of a model would give.

        Raises:
            NotFoundError: if there is no model of that name.
        """
        model = await self._judged(name)
        return await asyncio.to_thread(lambda: curves_of(model.matches()))

    async def compare(self, baseline: ModelName, candidate: ModelName) -> "ModelComparison":
        """Compares two models on the images that both were judged by.

        Raises:
            NotFoundError: if there is no model of one of the names.
            InvalidArgumentError: if they cannot be compared, because one is a detector and the other is not, or no
                image was judged by both.
        """
        first, second = await self._judged(baseline), await self._judged(candidate)
        _require_comparable(first, second)
        return await asyncio.to_thread(_compare, first, second)

    async def _judged(self, name: ModelName) -> JudgedModel:
        async with self._database.transaction() as session:
            model = await model_row(session, name)
            answers = await answers_of(session, model.own_evaluation.id)
            return JudgedModel(str(name), rules_of(model), answers)


def _require_comparable(baseline: JudgedModel, candidate: JudgedModel) -> None:
    if baseline.rules.finds_boxes != candidate.rules.finds_boxes:
        rule = f"must be of one kind: of {baseline.name} and {candidate.name} only one is a detector"
        raise InvalidArgumentError.of_field("candidate", rule)
    if not {answer.image for answer in baseline.answers} & {answer.image for answer in candidate.answers}:
        judged = f"{baseline.name} by {len(baseline.answers)} and {candidate.name} by {len(candidate.answers)} images"
        raise InvalidArgumentError.of_field(
            "candidate", f"must have been judged by images that the baseline was judged by too: {judged}, none of both"
        )


def _compare(baseline: JudgedModel, candidate: JudgedModel) -> "ModelComparison":
    # Not at the start of the service, because what tells significance takes a third of a second to load.
    from sightsmith_training.evaluations.comparing import compare

    return compare(baseline, candidate)
