"""Annotations: labels of a whole image and boxes, who made each of them, and how they lie in an image's row."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Origin(StrEnum):
    """Who put a label on an image."""

    IMPORT = "import"
    PERSON = "person"
    MODEL = "model"


# Quicker than to make an origin from its text anew for each of a million annotations.
_ORIGINS: Mapping[str, Origin] = {origin.value: origin for origin in Origin}


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the upright image, from its top left corner. Fractions of a pixel are kept."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class NewAnnotation:
    """A label that is to be put on an image.

    Attributes:
        label: the label's name.
        box: where; None for the whole image.
        origin: who made it.
        author: the person, the import job or the model, as a name; empty if nobody said.
        confidence: 0 to 1, how sure the author was; None if it did not say.
    """

    label: str
    box: Box | None = None
    origin: Origin = Origin.PERSON
    author: str = ""
    confidence: float | None = None

    @property
    def content(self) -> tuple[str, Box | None]:
        """What it says, whoever said it."""
        return self.label, self.box


@dataclass(frozen=True)
class Annotation:
    """A label on an image. `id` is unique within the image and never used again; the rest is as in `NewAnnotation`."""

    id: int
    label: str
    box: Box | None
    origin: Origin
    author: str
    confidence: float | None
    create_time: datetime

    @property
    def content(self) -> tuple[str, Box | None]:
        """What it says, whoever said it: what makes two annotations the same."""
        return self.label, self.box


StoredAnnotation = dict[str, Any]


def stored(annotation: Annotation, label_keys: Mapping[str, int]) -> StoredAnnotation:
    """An annotation as it lies in its image's row; what is not known is left out."""
    row: StoredAnnotation = {
        "id": annotation.id,
        "label": label_keys[annotation.label],
        "origin": annotation.origin.value,
        "author": annotation.author,
        "time": annotation.create_time.isoformat(),
    }
    if annotation.box is not None:
        row["box"] = [annotation.box.left, annotation.box.top, annotation.box.width, annotation.box.height]
    if annotation.confidence is not None:
        row["confidence"] = annotation.confidence
    return row


def stored_new(
    new: Sequence[NewAnnotation], author: str, label_keys: Mapping[str, int], time: str
) -> list[StoredAnnotation]:
    """The annotations of a new image as they lie in its row, numbered from 1: `stored` for a hundred thousand images.

    Args:
        new: the annotations.
        author: of those that name none.
        label_keys: of their labels.
        time: when they were made, in ISO 8601.
    """
    rows = []
    for id_, annotation in enumerate(new, start=1):
        row: StoredAnnotation = {
            "id": id_,
            "label": label_keys[annotation.label],
            "origin": annotation.origin.value,
            "author": annotation.author or author,
            "time": time,
        }
        if (box := annotation.box) is not None:
            row["box"] = [box.left, box.top, box.width, box.height]
        if annotation.confidence is not None:
            row["confidence"] = annotation.confidence
        rows.append(row)
    return rows


def read(row: StoredAnnotation, label_names: Mapping[int, str]) -> Annotation:
    """An annotation from its image's row."""
    box = row.get("box")
    return Annotation(
        id=row["id"],
        label=label_names[row["label"]],
        box=Box(*box) if box is not None else None,
        origin=_ORIGINS[row["origin"]],
        author=row["author"],
        confidence=row.get("confidence"),
        create_time=datetime.fromisoformat(row["time"]),
    )


def read_all(rows: Iterable[StoredAnnotation], label_names: Mapping[int, str]) -> tuple[Annotation, ...]:
    """Every annotation of an image's row, in their order."""
    return tuple(read(row, label_names) for row in rows)


def numbered(new: Sequence[NewAnnotation], last_id: int, time: datetime) -> tuple[Annotation, ...]:
    """New annotations with their ids, which go on after `last_id`."""
    return tuple(
        Annotation(
            id=last_id + place,
            label=annotation.label,
            box=annotation.box,
            origin=annotation.origin,
            author=annotation.author,
            confidence=annotation.confidence,
            create_time=time,
        )
        for place, annotation in enumerate(new, start=1)
    )


def whole_image_labels(annotations: Iterable[Annotation]) -> tuple[str, ...]:
    """The labels of the whole image, each once, ordered."""
    return tuple(sorted({annotation.label for annotation in annotations if annotation.box is None}))
