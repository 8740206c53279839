"""Other thresholds for a model, without a training."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.errors import FieldViolation
from sightsmith_training.engine.evaluation_result import Evaluation
from sightsmith_training.evaluations.answer_table import AnswerTable
from sightsmith_training.evaluations.matching import Rules, match_table
from sightsmith_training.evaluations.storing import answer_table, change_verdicts
from sightsmith_training.evaluations.verdicts import Verdicts
from sightsmith_training.models import rules_of
from sightsmith_training.tables import EvaluationRow, ModelRow

Thresholds = Sequence[tuple[str, float]]
"""Labels with the least score at which each holds, in any order."""

_FIELD = "model.thresholds"


def threshold_problems(row: ModelRow, wanted: Thresholds) -> Iterator[FieldViolation]:
    """What is wrong with thresholds for a model."""
    if not wanted and row.task == "classification":
        return
    counts = Counter(label for label, _ in wanted)
    for label in [label for label in row.labels if label not in counts]:
        yield FieldViolation(_FIELD, f"must have one for each label; {label!r} has none")
    for label, count in counts.items():
        if label not in row.labels:
            yield FieldViolation(_FIELD, f"{label[:80]!r} is not a label of the model")
        elif count > 1:
            yield FieldViolation(_FIELD, f"{label!r} has {count}, and may have one")
    for label, threshold in wanted:
        if not 0 <= threshold <= 1:
            yield FieldViolation(_FIELD, f"of {label[:80]!r} must be from 0 to 1, not {threshold:g}")


async def change_thresholds(session: AsyncSession, row: ModelRow, wanted: Thresholds) -> None:
    """Lets other thresholds hold, for which nothing is wrong, and computes anew what follows from them.

    Args:
        session: of the transaction.
        row: of the model, locked.
        wanted: the thresholds.
    """
    told = dict(wanted)
    thresholds = [told[label] for label in row.labels] if told else []
    if thresholds == row.thresholds:
        return
    row.thresholds = thresholds
    for evaluation in await session.scalars(select(EvaluationRow).where(EvaluationRow.model_id == row.id)):
        answers = await answer_table(session, evaluation.id)
        if not answers.images:
            continue
        before = Evaluation.model_validate(evaluation.figures)
        figures, verdicts = await asyncio.to_thread(_judge_again, before, rules_of(row), answers)
        evaluation.figures = figures.model_dump()
        await change_verdicts(session, evaluation.id, answers.images, verdicts)


def _judge_again(evaluation: Evaluation, rules: Rules, answers: AnswerTable) -> tuple[Evaluation, Verdicts]:
    # Not at the start of the service, because what makes intervals takes a third of a second to load.
    from sightsmith_training.evaluations.figures import evaluate_again

    matches = match_table(rules, answers)
    return evaluate_again(evaluation, matches), Verdicts.of(matches)
