"""A suggestion: a label that a model proposes for an image."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sightsmith.names import DatasetName, ImageName, SuggestionName
from sightsmith_labeling.annotations import Box
from sightsmith_labeling.suggestions.tables import SuggestionRow


class SuggestionState(StrEnum):
    """What became of a suggestion."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    CORRECTED = "corrected"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Suggestion:
    """A label that a model proposes for an image.

    Attributes:
        box: where; None for the whole image.
        confidence: how sure the model is, above 0 and at most 1.
        model: its name.
        corrected_label: what a person put on the image instead; None unless it was corrected.
        corrected_box: where a person put it; None for the whole image.
        decider: who decided; empty before, or if the caller did not say.
    """

    name: SuggestionName
    image: ImageName
    label: str
    box: Box | None
    confidence: float
    model: str
    state: SuggestionState
    corrected_label: str | None
    corrected_box: Box | None
    decider: str
    decide_time: datetime | None
    create_time: datetime


@dataclass(frozen=True)
class SuggestionFilter:
    """Which suggestions are meant: those that fulfil every condition that is set."""

    states: Sequence[SuggestionState] = ()
    label: str = ""
    model: str = ""
    min_confidence: float = 0.0
    dataset: DatasetName | None = None
    image: ImageName | None = None


def to_suggestion(row: SuggestionRow, image: ImageName) -> Suggestion:
    """The suggestion of a row."""
    return Suggestion(
        name=SuggestionName(row.project, str(row.key)),
        image=image,
        label=row.label,
        box=box_of(row.box),
        confidence=row.confidence,
        model=row.model,
        state=SuggestionState(row.state),
        corrected_label=row.corrected_label,
        corrected_box=box_of(row.corrected_box),
        decider=row.decider,
        decide_time=row.decide_time,
        create_time=row.create_time,
    )


def box_of(sides: Sequence[float] | None) -> Box | None:
    """A box as it lies in a row."""
    return Box(*sides) if sides is not None else None


def sides_of(box: Box | None) -> list[float] | None:
    """A box as it is put into a row."""
    return [box.left, box.top, box.width, box.height] if box is not None else None
