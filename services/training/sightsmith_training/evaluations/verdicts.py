"""What the answers of a model mean by its thresholds, for all images at once: what lists are sorted and filtered by."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np

from sightsmith_training.engine.judging.answers import Positions
from sightsmith_training.engine.judging.arrays import Flags, Floats
from sightsmith_training.engine.judging.detection_matches import DetectionMatches
from sightsmith_training.engine.judging.matches import ClassificationMatches
from sightsmith_training.evaluations.judged_images import Ranks
from sightsmith_training.evaluations.matching import Matches

ImageLabels = Sequence[Sequence[str]]
"""Of each image: labels, each once, the surest first."""


@dataclass(frozen=True)
class Verdicts:
    """What `JudgedImage` tells of one image, column by column.

    Attributes:
        rank: of each image; the lowest for the most confident mistakes.
        confidence: of each image's surest label.
        predicted_labels: of each image.
        true_positives: labels that are there and were predicted.
        false_positives: labels that were predicted where they are not.
        false_negatives: labels that are there and were not predicted.
    """

    rank: Sequence[float]
    confidence: Sequence[float]
    predicted_labels: ImageLabels
    true_positives: ImageLabels
    false_positives: ImageLabels
    false_negatives: ImageLabels

    @classmethod
    def of(cls, matches: Matches) -> Self:
        """Takes them from the matches."""
        ranks = Ranks.of(matches)
        if isinstance(matches, DetectionMatches):
            right, wrong, missed = _of_boxes(matches)
        else:
            right, wrong, missed = _of_labels(matches)
        images = len(matches.images)
        return cls(
            rank=ranks.rank.tolist(),
            confidence=ranks.confidence.tolist(),
            predicted_labels=right.and_also(wrong).by_image(images, matches.labels),
            true_positives=right.by_image(images, matches.labels),
            false_positives=wrong.by_image(images, matches.labels),
            false_negatives=missed.by_image(images, matches.labels),
        )

    def rows(self) -> Iterator[dict[str, Any]]:
        """Image by image, by the names of the attributes."""
        columns = vars(self)
        for values in zip(*columns.values(), strict=True):
            yield dict(zip(columns, values, strict=True))


@dataclass(frozen=True)
class _Found:
    """Labels, or boxes with labels, on images; all of shape [found]."""

    images: Positions
    labels: Positions
    confidences: Floats

    def and_also(self, other: "_Found") -> "_Found":
        return _Found(
            np.append(self.images, other.images),
            np.append(self.labels, other.labels),
            np.append(self.confidences, other.confidences),
        )

    def by_image(self, images: int, names: Sequence[str]) -> ImageLabels:
        surest_first = np.lexsort((self.labels, -self.confidences, self.images))
        of_image = self.images[surest_first] * len(names) + self.labels[surest_first]
        once = surest_first[np.sort(np.unique(of_image, return_index=True)[1])]
        told = [names[label] for label in self.labels[once].tolist()]
        edges = np.searchsorted(self.images[once], np.arange(images + 1)).tolist()
        return [told[begin:end] for begin, end in pairwise(edges)]


def _of_boxes(matches: DetectionMatches) -> tuple[_Found, _Found, _Found]:
    """What is rightly predicted, wrongly predicted, and missed."""
    found, there = matches.detections, matches.truths

    def predicted(wanted: Flags) -> _Found:
        return _Found(found.images[wanted], found.labels[wanted], matches.confidences[wanted])

    missed = matches.missed
    return (
        predicted(matches.true_positives),
        predicted(matches.false_positives),
        _Found(there.images[missed], there.labels[missed], matches.truth_confidences[missed]),
    )


def _of_labels(matches: ClassificationMatches) -> tuple[_Found, _Found, _Found]:
    """The same of images that are classified."""

    def where(wanted: Flags) -> _Found:
        images, labels = np.nonzero(wanted)
        return _Found(images, labels, matches.scores[images, labels])

    predicted, truth = matches.predicted, matches.truth
    return where(predicted & truth), where(predicted & ~truth), where(truth & ~predicted)
