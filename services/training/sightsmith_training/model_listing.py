"""Which models a list holds, and in which order."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy import ColumnElement, Double, String, Text, cast, func, select, tuple_
from sqlalchemy.orm import contains_eager
from sqlalchemy.sql import Select

from sightsmith.errors import InvalidArgumentError
from sightsmith.paging import PageRequest
from sightsmith_training.tables import EvaluationRow, ModelRow

# Score and number of a model, as the page tokens of the list by score hold them.
_SCORED = re.compile(r"(?P<score>[0-9.e-]{1,30})/(?P<number>[0-9]{1,18})")


@dataclass(frozen=True)
class ModelFilter:
    """The models for which everything holds that is set here.

    Attributes:
        labels: labels that the model knows, all of them.
        tags: tags that it has, with these values.
    """

    labels: Sequence[str] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


ALL_MODELS = ModelFilter()


class ModelOrder(StrEnum):
    """Orders of a list, as the API calls them."""

    NEWEST = "create_time desc"
    OLDEST = "create_time"
    BEST = "macro_f1 desc"

    @classmethod
    def parse(cls, order_by: str) -> "ModelOrder":
        """Reads the field `order_by`.

        Raises:
            InvalidArgumentError: if there is no such order.
        """
        wanted = " ".join(order_by.split())
        if wanted and wanted not in set(cls):
            orders = ", ".join(repr(str(order)) for order in cls)
            raise InvalidArgumentError.of_field("order_by", f"must be one of {orders}, not {order_by[:80]!r}")
        return cls(wanted or cls.NEWEST)


def listed_models(project: str, request: PageRequest, wanted: ModelFilter, order: ModelOrder) -> Select[ModelRow, str]:
    """The query for a page: each row with its key for the token, one row more than the page holds.

    Raises:
        InvalidArgumentError: if the page token is of another list.
    """
    number, score = ModelRow.number, _score()
    key: ColumnElement[str] = cast(number, Text)
    if order is ModelOrder.BEST:
        key = func.concat(cast(score, String), "/", key)
    query = select(ModelRow, key.label("page_key")).where(ModelRow.project == project)
    query = query.join(ModelRow.own_evaluation).options(contains_eager(ModelRow.own_evaluation))
    if wanted.labels:
        query = query.where(ModelRow.labels.contains(list(wanted.labels)))
    if wanted.tags:
        query = query.where(ModelRow.tags.contains(dict(wanted.tags)))
    if request.after is not None:
        query = query.where(_is_after(request, order))
    by = {
        ModelOrder.NEWEST: (number.desc(),),
        ModelOrder.OLDEST: (number.asc(),),
        ModelOrder.BEST: (score.desc(), number.desc()),
    }
    return query.order_by(*by[order]).limit(request.size + 1)


def _score() -> ColumnElement[float]:
    return func.coalesce(cast(EvaluationRow.figures["macro_f1"].astext, Double), 0.0)


def _is_after(request: PageRequest, order: ModelOrder) -> ColumnElement[bool]:
    if order is ModelOrder.NEWEST:
        return ModelRow.number < request.after_number
    if order is ModelOrder.OLDEST:
        return ModelRow.number > request.after_number
    score, number = _scored(request.after or "")
    return tuple_(_score(), ModelRow.number) < tuple_(score, number)


def _scored(key: str) -> tuple[float, int]:
    match = _SCORED.fullmatch(key)
    try:
        if match is not None:
            return float(match["score"]), int(match["number"])
    except ValueError:
        pass
    raise InvalidArgumentError.of_field("page_token", "is not a token that this List call returned")
