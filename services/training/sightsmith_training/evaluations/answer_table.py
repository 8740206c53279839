"""What a model says of many images, column by column: much smaller and quicker than an object for each box."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Self

import msgspec
import numpy as np
import numpy.typing as npt

from sightsmith_training.engine.evaluation_result import DetectedBox, ImagePrediction
from sightsmith_training.engine.judging.answers import Positions
from sightsmith_training.engine.judging.arrays import Flags, Floats
from sightsmith_training.engine.judging.detection_matches import BoxTable
from sightsmith_training.engine.specification import SpecBox

_NOT_THERE = -1
_ANSWERS_AT_ONCE = 1000


class StoredBox(msgspec.Struct, gc=False):
    """A box as the database has it: `SpecBox`, or `DetectedBox` with its confidence."""

    label: str
    left: float
    top: float
    width: float
    height: float
    confidence: float = 0.0


class StoredAnswer(msgspec.Struct):
    """What of an `ImagePrediction` depends on no thresholds, as the database has it."""

    image: str
    source: str
    width: int
    height: int
    true_labels: list[str]
    true_boxes: list[StoredBox]
    scores: list[float]
    detections: list[StoredBox]


@dataclass(frozen=True)
class AnswerTable:
    """What a model says of images.

    Attributes:
        images: resource names.
        sources: where the images came from.
        sizes: shape [images, 2]; width and height in pixels, 0 where they are not known.
        true_labels: what each image carries.
        box_labels: names of the labels of boxes, labelled or predicted.
        truths: the labelled boxes, image after image; their labels are positions in `box_labels`.
        detections: the boxes that a detector gave, likewise.
        confidences: shape [detections].
        scores: shape [images, labels]; without labels for a detector.
    """

    images: list[str]
    sources: list[str]
    sizes: npt.NDArray[np.intp]
    true_labels: list[list[str]]
    box_labels: tuple[str, ...]
    truths: BoxTable
    detections: BoxTable
    confidences: Floats
    scores: Floats

    @classmethod
    def of(cls, answers: Sequence[ImagePrediction] | Sequence[StoredAnswer]) -> Self:
        """Puts answers of one model into columns."""
        found = [answer.detections for answer in answers]
        there = [answer.true_boxes for answer in answers]
        codes: dict[str, int] = {}
        labels = len(answers[0].scores) if answers else 0
        return cls(
            images=[answer.image for answer in answers],
            sources=[answer.source for answer in answers],
            sizes=np.array([(answer.width, answer.height) for answer in answers], dtype=np.intp).reshape(-1, 2),
            true_labels=[answer.true_labels for answer in answers],
            truths=_table(there, codes),
            detections=_table(found, codes),
            box_labels=tuple(codes),
            confidences=np.array([box.confidence for boxes in found for box in boxes], dtype=np.float64),
            scores=np.array([answer.scores for answer in answers], dtype=np.float64).reshape(len(answers), labels),
        )

    @classmethod
    def gathered(cls, answers: Iterable[ImagePrediction]) -> Self:
        """Does the same with answers of which not all may be in memory at once."""
        rest = iter(answers)
        parts = [AnswerTable.of(part) for part in iter(lambda: list(islice(rest, _ANSWERS_AT_ONCE)), [])]
        return cls.joined(parts or [AnswerTable.of(())])

    @classmethod
    def joined(cls, parts: Iterable["AnswerTable"]) -> Self:
        """The images of all parts, one part after another; at least one part."""
        tables = list(parts)
        names = sorted({name for table in tables for name in table.box_labels})
        tables = [table.with_box_labels(names) for table in tables]
        first = np.cumsum([0, *(len(table.images) for table in tables)])
        return cls(
            images=[image for table in tables for image in table.images],
            sources=[source for table in tables for source in table.sources],
            sizes=np.concatenate([table.sizes for table in tables]),
            true_labels=[labels for table in tables for labels in table.true_labels],
            box_labels=tuple(names),
            truths=_joined([table.truths for table in tables], first),
            detections=_joined([table.detections for table in tables], first),
            confidences=np.concatenate([table.confidences for table in tables]),
            scores=np.concatenate([table.scores for table in tables]),
        )

    def at(self, places: Sequence[int]) -> Self:
        """Some of the images, in the order of their places."""
        kept = list(places)
        now = np.full(len(self.images), _NOT_THERE, dtype=np.intp)
        now[kept] = np.arange(len(kept))
        detections = _order(self.detections, now)
        return replace(
            self,
            images=[self.images[place] for place in kept],
            sources=[self.sources[place] for place in kept],
            sizes=self.sizes[kept],
            true_labels=[self.true_labels[place] for place in kept],
            truths=_moved(self.truths, _order(self.truths, now), now),
            detections=_moved(self.detections, detections, now),
            confidences=self.confidences[detections],
            scores=self.scores[kept],
        )

    def with_truth_of(self, other: "AnswerTable") -> Self:
        """The same answers for images that are labelled as those of another table, which are the same images."""
        names = sorted({*self.box_labels, *other.box_labels})
        told = other.with_box_labels(names)
        return replace(self.with_box_labels(names), true_labels=told.true_labels, truths=told.truths)

    def with_box_labels(self, names: Sequence[str]) -> Self:
        """The same with other names of labels, in which all of its own are, in another order."""
        places = {name: place for place, name in enumerate(names)}
        codes = np.array([places[name] for name in self.box_labels], dtype=np.intp)
        truths, detections = (replace(table, labels=codes[table.labels]) for table in (self.truths, self.detections))
        return replace(self, box_labels=tuple(names), truths=truths, detections=detections)

    def relabelled(self, other: "AnswerTable") -> int:
        """How many of the images are labelled otherwise in another table, which has the same images in this order."""
        names = sorted({*self.box_labels, *other.box_labels})
        differs = np.array(
            [sorted(was) != sorted(now) for was, now in zip(self.true_labels, other.true_labels, strict=True)]
        )
        old, new = (_rows(table.with_box_labels(names).truths) for table in (self, other))
        if not np.array_equal(old, new):
            differs |= _unlike(_sorted(old), _sorted(new), len(self.images))
        return int(differs.sum())


def _table(boxes: Sequence[Sequence[SpecBox | DetectedBox | StoredBox]], codes: dict[str, int]) -> BoxTable:
    """The boxes of images; labels that have no code yet get the next ones."""
    every = [box for of_image in boxes for box in of_image]
    sides = [side for box in every for side in (box.left, box.top, box.width, box.height)]
    corners = np.array(sides, dtype=np.float64).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    return BoxTable(
        images=np.repeat(np.arange(len(boxes)), [len(of_image) for of_image in boxes]),
        labels=np.array([codes.setdefault(box.label, len(codes)) for box in every], dtype=np.intp),
        boxes=corners,
    )


def _joined(tables: Sequence[BoxTable], first: npt.NDArray[np.intp]) -> BoxTable:
    """Boxes of several parts, of which each begins with that image."""
    return BoxTable(
        images=np.concatenate([table.images + begin for table, begin in zip(tables, first, strict=False)]),
        labels=np.concatenate([table.labels for table in tables]),
        boxes=np.concatenate([table.boxes for table in tables]),
    )


def _order(table: BoxTable, now: Positions) -> Positions:
    """The boxes of the images that have a new place, image after image."""
    images = now[table.images]
    order = np.argsort(images, kind="stable")
    there: Positions = order[images[order] != _NOT_THERE]
    return there


def _moved(table: BoxTable, order: Positions, now: Positions) -> BoxTable:
    boxes = table.of(order)
    return replace(boxes, images=now[boxes.images])


def _rows(table: BoxTable) -> Floats:
    """Image, label and sides of each box."""
    return np.column_stack((table.images, table.labels, table.boxes))


def _sorted(rows: Floats) -> Floats:
    """Image after image, those of an image in an order that depends on nothing but what they are."""
    return rows[np.lexsort(rows.T[::-1])]


def _unlike(first: Floats, second: Floats, images: int) -> Flags:
    """Which images have other boxes, from the sorted rows of both; shape [images]."""
    first_images, second_images = (rows[:, 0].astype(np.intp) for rows in (first, second))
    unlike: Flags = np.bincount(first_images, minlength=images) != np.bincount(second_images, minlength=images)
    first, second = first[~unlike[first_images]], second[~unlike[second_images]]
    unlike[first[(first != second).any(axis=1), 0].astype(np.intp)] = True
    return unlike
