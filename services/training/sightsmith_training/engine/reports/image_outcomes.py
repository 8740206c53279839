"""What became of everything on one image, taken from the matches: what files, pages and pictures tell of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sightsmith_training.engine.judging.answers import Positions
from sightsmith_training.engine.judging.detection_matches import DetectionMatches
from sightsmith_training.engine.judging.matches import ClassificationMatches, Outcome
from sightsmith_training.engine.judging.overlaps import NOBODY

Matches = ClassificationMatches | DetectionMatches

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels of the upright image."""


@dataclass(frozen=True)
class Judged:
    """A label of an image, or of one of its boxes, that is there or was predicted.

    Attributes:
        label: position in the list of labels.
        outcome: never a true negative.
        confidence: 0 to 1. Of something missed: how sure the model was of it all the same, below its threshold.
        labelled: the labelled box; None for a false positive and where images are classified.
        predicted: the predicted box; None where none was predicted at any confidence and where images are classified.
        iou: overlap of the two boxes, 0 to 1; 0 where one is missing.
    """

    label: int
    outcome: Outcome
    confidence: float
    labelled: Box | None = None
    predicted: Box | None = None
    iou: float = 0.0

    @property
    def is_there(self) -> bool:
        """Whether it was labelled, be it predicted or not."""
        return self.outcome in (Outcome.TRUE_POSITIVE, Outcome.FALSE_NEGATIVE)

    @property
    def is_mistake(self) -> bool:
        """Whether labels and prediction differ."""
        return self.outcome is not Outcome.TRUE_POSITIVE


class ImageOutcomes:
    """Looks up one image after the other without holding anything for all of them but numbers."""

    def __init__(self, matches: Matches) -> None:
        self._look_up = _Boxes(matches) if isinstance(matches, DetectionMatches) else _Labels(matches)

    def of(self, image: int) -> list[Judged]:
        """Everything on an image: what was predicted, the surest first, then what was missed.

        Args:
            image: position in the images of the matches.
        """
        return sorted(
            self._look_up.of(image), key=lambda it: (it.outcome is Outcome.FALSE_NEGATIVE, -it.confidence, it.label)
        )


class _Labels:
    def __init__(self, matches: ClassificationMatches) -> None:
        self._scores = matches.scores
        self._outcomes = matches.outcomes

    def of(self, image: int) -> Iterator[Judged]:
        for label in np.flatnonzero(self._outcomes[image]).tolist():
            yield Judged(label, Outcome(self._outcomes[image, label]), float(self._scores[image, label]))


class _Boxes:
    def __init__(self, matches: DetectionMatches) -> None:
        self._matches = matches
        self._predicted = matches.predicted
        self._missed = matches.missed
        self._finders = matches.finders
        self._ious = matches.partner_ious
        self._confidences = matches.truth_confidences

    def of(self, image: int) -> Iterator[Judged]:
        for detection in self._detections.of(image):
            if self._predicted[detection]:
                yield self._of_detection(detection)
        for truth in self._truths.of(image):
            if self._missed[truth]:
                yield self._of_missed(truth)

    @cached_property
    def _detections(self) -> "_ByImage":
        return _ByImage(self._matches.detections.images)

    @cached_property
    def _truths(self) -> "_ByImage":
        return _ByImage(self._matches.truths.images)

    def _of_detection(self, detection: int) -> Judged:
        partner = int(self._matches.partners[detection])
        return Judged(
            label=int(self._matches.detections.labels[detection]),
            outcome=Outcome.FALSE_POSITIVE if partner == NOBODY else Outcome.TRUE_POSITIVE,
            confidence=float(self._matches.confidences[detection]),
            labelled=None if partner == NOBODY else _box(self._matches.truths.boxes[partner]),
            predicted=_box(self._matches.detections.boxes[detection]),
            iou=float(self._ious[detection]),
        )

    def _of_missed(self, truth: int) -> Judged:
        finder = int(self._finders[truth])
        return Judged(
            label=int(self._matches.truths.labels[truth]),
            outcome=Outcome.FALSE_NEGATIVE,
            confidence=float(self._confidences[truth]),
            labelled=_box(self._matches.truths.boxes[truth]),
            predicted=None if finder == NOBODY else _box(self._matches.detections.boxes[finder]),
            iou=0.0 if finder == NOBODY else float(self._ious[finder]),
        )


class _ByImage:
    """Finds the boxes of an image in their order."""

    def __init__(self, images: Positions) -> None:
        self._order = np.argsort(images, kind="stable")
        self._images = images[self._order]

    def of(self, image: int) -> list[int]:
        begin, end = np.searchsorted(self._images, (image, image + 1))
        boxes: list[int] = self._order[begin:end].tolist()
        return boxes


def _box(sides: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Box:
    left, top, right, bottom = sides.tolist()
    return left, top, right, bottom
