"""What users change of their models: descriptions, tags and thresholds."""

import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from sightsmith.database import Database, utc_now
from sightsmith.errors import FieldViolation, InvalidArgumentError
from sightsmith.names import ModelName
from sightsmith_training.evaluations.thresholds import Thresholds, change_thresholds, threshold_problems
from sightsmith_training.models import Model, locked_model_row, model_of
from sightsmith_training.settings import TrainingSettings
from sightsmith_training.tables import ModelRow

CHANGEABLE = ("description", "tags", "thresholds")


@dataclass(frozen=True)
class ModelChange:
    """What is to be new of a model; what is None stays.

    Attributes:
        description: what people are to know of it.
        tags: names and values, in place of all that it has.
        thresholds: from which score on labels hold: of all its labels, or of none.
    """

    description: str | None = None
    tags: Mapping[str, str] | None = None
    thresholds: Thresholds | None = None


class ModelDetails:
    """Changes them."""

    def __init__(self, database: Database, settings: TrainingSettings) -> None:
        self._database = database
        self._settings = settings

    async def update(self, name: ModelName, change: ModelChange, etag: str = "") -> Model:
        """Changes a model; its evaluation follows its thresholds.

        Args:
            name: of the model.
            change: what is to be new.
            etag: that the caller read; empty if any will do.

        Raises:
            InvalidArgumentError: with a violation for each text and each threshold that breaks its rules.
            NotFoundError: if there is no such model.
            AbortedError: with the reason ETAG_MISMATCH, if the model was changed since the etag was read.
        """
        _require_none([*self._description_problems(change.description or ""), *self._tag_problems(change.tags or {})])
        async with self._database.transaction() as session:
            row = await locked_model_row(session, name, etag)
            before = _changeable(row)
            if change.thresholds is not None:
                _require_none(list(threshold_problems(row, change.thresholds)))
                await change_thresholds(session, row, change.thresholds)
            row.description = row.description if change.description is None else change.description
            row.tags = row.tags if change.tags is None else dict(change.tags)
            if _changeable(row) != before:
                row.revision += 1
                row.update_time = utc_now()
            return model_of(row)

    def _description_problems(self, text: str) -> Iterator[FieldViolation]:
        limit = self._settings.max_description_length
        if len(text) > limit:
            yield FieldViolation("model.description", f"must be at most {limit} characters, not {len(text)}")

    def _tag_problems(self, tags: Mapping[str, str]) -> Iterator[FieldViolation]:
        most, name_limit, value_limit = (
            self._settings.max_tags_per_model,
            self._settings.max_tag_name_length,
            self._settings.max_tag_value_length,
        )
        if len(tags) > most:
            yield FieldViolation("model.tags", f"must be at most {most}, not {len(tags)}")
        for name, value in sorted(tags.items()):
            field = f"model.tags[{name[:name_limit]!r}]"
            if not 1 <= len(name) <= name_limit or _has_control_characters(name):
                yield FieldViolation(field, f"must have a name of 1 to {name_limit} characters, none for control")
            if len(value) > value_limit or _has_control_characters(value):
                yield FieldViolation(field, f"must have a value of at most {value_limit} characters, none for control")


def _changeable(row: ModelRow) -> tuple[object, ...]:
    return tuple(getattr(row, name) for name in CHANGEABLE)


def _has_control_characters(text: str) -> bool:
    return any(unicodedata.category(character) == "Cc" for character in text)


def _require_none(violations: Collection[FieldViolation]) -> None:
    if violations:
        message = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
        raise InvalidArgumentError(message, violations=tuple(violations))
