"""Evaluations and their images in the database."""

import asyncio
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from itertools import chain, islice
from typing import Any

import msgspec
from sqlalchemy import Text, cast, column, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith_training.engine.evaluation_result import ImagePrediction
from sightsmith_training.evaluations.answer_table import AnswerTable, StoredAnswer
from sightsmith_training.evaluations.matching import Rules, match
from sightsmith_training.evaluations.verdicts import Verdicts
from sightsmith_training.tables import EvaluatedImageRow, EvaluationRow

_ANSWER = ("image", "source", "width", "height", "true_labels", "true_boxes", "scores", "detections")
# What depends on the rules.
_VERDICT = tuple(field.name for field in fields(Verdicts))
_TOLD = [column(name, EvaluatedImageRow.__table__.c[name].type) for name in ("image", *_VERDICT)]
_ROWS_AT_ONCE = 1000
# A detector's answer may fill a hundred kilobytes until it is written.
_NEW_ROWS_AT_ONCE = 200
_STORED = msgspec.json.Decoder(StoredAnswer)


async def add_images(
    session: AsyncSession, evaluation_id: uuid.UUID, rules: Rules, answers: Iterable[ImagePrediction]
) -> None:
    """Writes what a model says of the images that it is judged by, and what that means by its rules.

    Args:
        session: of the transaction.
        evaluation_id: of the evaluation.
        rules: of the model.
        answers: looked at twice, and a part of them at once: they need not all be in memory.
    """
    verdicts = await asyncio.to_thread(lambda: Verdicts.of(match(rules, answers)))
    rows = _new_rows(evaluation_id, answers, verdicts)
    while part := await asyncio.to_thread(lambda: list(islice(rows, _NEW_ROWS_AT_ONCE))):
        await session.execute(insert(EvaluatedImageRow), part)


def _new_rows(
    evaluation_id: uuid.UUID, answers: Iterable[ImagePrediction], verdicts: Verdicts
) -> Iterator[dict[str, Any]]:
    for answer, verdict in zip(answers, verdicts.rows(), strict=True):
        yield {"evaluation_id": evaluation_id, **answer.model_dump(include=set(_ANSWER)), **verdict}


async def change_verdicts(
    session: AsyncSession, evaluation_id: uuid.UUID, images: Sequence[str], verdicts: Verdicts
) -> None:
    """Writes what the answers mean by other rules than before.

    Args:
        session: of the transaction.
        evaluation_id: of the evaluation.
        images: names of all its images.
        verdicts: on these images.
    """
    changed = ({"image": image, **verdict} for image, verdict in zip(images, verdicts.rows(), strict=True))
    while rows := list(islice(changed, _ROWS_AT_ONCE)):
        # One statement for many rows: thousands of statements take seconds, and hold the model's lock meanwhile.
        told = func.jsonb_to_recordset(literal(rows, JSONB)).table_valued(*_TOLD).render_derived(with_types=True)
        await session.execute(
            update(EvaluatedImageRow)
            .where(EvaluatedImageRow.evaluation_id == evaluation_id, EvaluatedImageRow.image == told.c.image)
            .values({name: told.c[name] for name in _VERDICT}),
            execution_options={"synchronize_session": False},
        )


def copy_of(original: EvaluationRow) -> EvaluationRow:
    """The evaluation of a copied model, so far without its images."""
    return EvaluationRow(id=uuid.uuid4(), is_own=original.is_own, snapshot=original.snapshot, figures=original.figures)


async def copy_images(session: AsyncSession, original: EvaluationRow, copy: EvaluationRow) -> None:
    """Gives the copy of an evaluation its images."""
    columns = [column for column in EvaluatedImageRow.__table__.columns if column.key != "evaluation_id"]
    query = select(literal(copy.id), *columns).where(EvaluatedImageRow.evaluation_id == original.id)
    names = ["evaluation_id", *(column.key for column in columns)]
    await session.execute(insert(EvaluatedImageRow).from_select(names, query))


async def answer_table(session: AsyncSession, evaluation_id: uuid.UUID) -> AnswerTable:
    """What a model said of all the images that it was judged by, in the order of their names.

    In columns: hundreds of megabytes less than objects, and much quicker.
    """
    columns = {name: EvaluatedImageRow.__table__.c[name] for name in _ANSWER}
    # As text, to be decoded right into what is wanted.
    text = cast(func.json_build_object(*chain.from_iterable(columns.items())), Text)
    query = select(text).where(EvaluatedImageRow.evaluation_id == evaluation_id).order_by(EvaluatedImageRow.image)
    stream = await session.stream_scalars(query, execution_options={"yield_per": _ROWS_AT_ONCE})
    parts = [await asyncio.to_thread(_decoded, rows) async for rows in stream.partitions()]
    return AnswerTable.joined(parts or [AnswerTable.of(())])


def _decoded(rows: Sequence[str]) -> AnswerTable:
    return AnswerTable.of([_STORED.decode(row) for row in rows])


def answer_of(row: EvaluatedImageRow) -> ImagePrediction:
    """The answer that a row holds."""
    return ImagePrediction(
        predicted_labels=row.predicted_labels,
        confidence=row.confidence,
        **{name: getattr(row, name) for name in _ANSWER},
    )
