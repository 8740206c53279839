"""Which of the judged images a list holds."""

import re
import uuid
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, or_, select, tuple_
from sqlalchemy.sql import Select

from sightsmith.errors import InvalidArgumentError
from sightsmith.paging import PageRequest
from sightsmith_training.engine.judging.matches import Outcome
from sightsmith_training.tables import EvaluatedImageRow

# Rank and name of an image, as the page tokens hold them.
_KEY = re.compile(r"(?P<rank>-?[0-9.e-]{1,30})/(?P<image>.*)")
_COLUMNS = {
    Outcome.TRUE_POSITIVE: EvaluatedImageRow.true_positives,
    Outcome.FALSE_POSITIVE: EvaluatedImageRow.false_positives,
    Outcome.FALSE_NEGATIVE: EvaluatedImageRow.false_negatives,
}


@dataclass(frozen=True)
class FindingFilter:
    """The images with a finding for which everything holds that is set here.

    Attributes:
        label: that it is about.
        outcome: how it came out.
    """

    label: str = ""
    outcome: Outcome | None = None


EVERY_IMAGE = FindingFilter()


def listed_images(evaluation_id: uuid.UUID, request: PageRequest, wanted: FindingFilter) -> Select[EvaluatedImageRow]:
    """The query for a page, the most confident mistakes first: one row more than the page holds.

    Raises:
        InvalidArgumentError: if the page token is of another list.
    """
    query = select(EvaluatedImageRow).where(EvaluatedImageRow.evaluation_id == evaluation_id)
    if wanted != EVERY_IMAGE:
        query = query.where(_has_finding(wanted))
    place = tuple_(EvaluatedImageRow.rank, EvaluatedImageRow.image)
    if request.after is not None:
        query = query.where(place > tuple_(*_place_of(request.after)))
    return query.order_by(EvaluatedImageRow.rank, EvaluatedImageRow.image).limit(request.size + 1)


def page_key(row: EvaluatedImageRow) -> str:
    """What the token of the next page holds."""
    return f"{row.rank}/{row.image}"


def _has_finding(wanted: FindingFilter) -> ColumnElement[bool]:
    columns = _COLUMNS.values() if wanted.outcome is None else [_COLUMNS[wanted.outcome]]
    if wanted.label:
        return or_(*(column.contains([wanted.label]) for column in columns))
    return or_(*(func.cardinality(column) > 0 for column in columns))


def _place_of(key: str) -> tuple[float, str]:
    match = _KEY.fullmatch(key)
    try:
        if match is not None:
            return float(match["rank"]), match["image"]
    except ValueError:
        pass
    raise InvalidArgumentError.of_field("page_token", "is not a token that this List call returned")
