"""What a model got wrong, the most confident mistakes first."""

from dataclasses import dataclass

import numpy as np

from sightsmith_training.engine.judging.arrays import Flags
from sightsmith_training.engine.judging.detection_matches import DetectionMatches
from sightsmith_training.engine.judging.matches import ClassificationMatches
from sightsmith_training.engine.judging.overlaps import NOBODY


@dataclass(frozen=True)
class Mistake:
    """One thing that is there and was taken for another, was missed, or was invented.

    Attributes:
        image: position of the image.
        labelled: what is there; None where the prediction is of nothing.
        predicted: what it was taken for; None where nothing was predicted.
        confidence: of the wrong prediction; 0 where there is none.
    """

    image: int
    labelled: int | None
    predicted: int | None
    confidence: float

    @property
    def pair(self) -> tuple[int, int] | None:
        """The two labels that were confused, whichever way round; None where the mistake is not of two labels."""
        if self.labelled is None or self.predicted is None:
            return None
        return min(self.labelled, self.predicted), max(self.labelled, self.predicted)


def find_mistakes(matches: ClassificationMatches | DetectionMatches) -> list[Mistake]:
    """Every mistake of a model.

    On an image for which a classifier misses some labels and wrongly predicts others, each of the missed ones counts
    as taken for each of the others.
    """
    found = _of_boxes(matches) if isinstance(matches, DetectionMatches) else _of_images(matches)
    return sorted(found, key=lambda mistake: -mistake.confidence)


def _of_images(matches: ClassificationMatches) -> list[Mistake]:
    predicted = matches.predicted
    mistakes = []
    for image in np.flatnonzero(~matches.right).tolist():
        missed = _labels_or_none(matches.truth[image] & ~predicted[image])
        claimed = _labels_or_none(predicted[image] & ~matches.truth[image])
        mistakes += [
            Mistake(image, true, false, 0.0 if false is None else float(matches.scores[image, false]))
            for true in missed
            for false in claimed
        ]
    return mistakes


def _labels_or_none(flags: Flags) -> list[int | None]:
    return [*np.flatnonzero(flags).tolist()] or [None]


def _of_boxes(matches: DetectionMatches) -> list[Mistake]:
    truths, detections, mistaken_for = matches.truths, matches.detections, matches.mistaken_for
    false = np.flatnonzero(matches.false_positives)
    of_truths = truths.labels.tolist()
    wrong = [
        Mistake(image, None if truth == NOBODY else of_truths[truth], predicted, confidence)
        for image, truth, predicted, confidence in zip(
            detections.images[false].tolist(),
            mistaken_for[false].tolist(),
            detections.labels[false].tolist(),
            matches.confidences[false].tolist(),
            strict=True,
        )
    ]
    missed = np.setdiff1d(np.flatnonzero(matches.missed), mistaken_for)
    return wrong + [
        Mistake(image, labelled, None, 0.0)
        for image, labelled in zip(truths.images[missed].tolist(), truths.labels[missed].tolist(), strict=True)
    ]
