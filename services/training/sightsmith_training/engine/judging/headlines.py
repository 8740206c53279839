"""The one figure that tells how good a model is, for any weighting of the images."""

from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
from scipy.sparse import csr_array

from sightsmith_training.engine.judging.answers import Positions
from sightsmith_training.engine.judging.arrays import Flags, Floats, Singles
from sightsmith_training.engine.judging.average_precision import average_precision
from sightsmith_training.engine.judging.counts import Counts, mean_of_present, ratio
from sightsmith_training.engine.judging.detection_matches import DetectionMatches, positions_by_label
from sightsmith_training.engine.judging.matches import ClassificationMatches
from sightsmith_training.engine.judging.overlaps import NOBODY

_STEPS = 500  # Of a label's ranking, for draws: intervals of many detections then differ by less than a thousandth.


class Headline(Protocol):
    """A figure over images of which each may count any number of times."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def images(self) -> int:
        """How many images it is computed from."""

    def __call__(self, weights: Floats) -> Floats:
        """The figure, 0 to 1, of shape [draws], where each image counts as `weights` [draws, images] says."""

    def beside(self, other: Self) -> Self:
        """The same figure over the images of both, those of `other` last."""

    @property
    def for_draws(self) -> Self:
        """About the same figure, if that is quicker for many weightings."""


@dataclass(frozen=True)
class Accuracy:
    """Share of the images for which exactly the right labels are predicted; `right` has shape [images]."""

    right: Flags

    name = "accuracy"

    @classmethod
    def of(cls, matches: ClassificationMatches) -> Self:
        """Takes from the matches what the figure needs."""
        return cls(matches.right)

    @property
    def images(self) -> int:
        """How many images it is computed from."""
        return len(self.right)

    def __call__(self, weights: Floats) -> Floats:
        """See `Headline`."""
        return ratio(weights @ self.right, weights.sum(axis=1))

    def beside(self, other: Self) -> Self:
        """See `Headline`."""
        return type(self)(np.append(self.right, other.right))

    @property
    def for_draws(self) -> Self:
        """See `Headline`."""
        return self


@dataclass(frozen=True)
class MacroF1:
    """Mean F1 of the labels that have something to be found; `counts` has shape [images, labels]."""

    counts: Counts

    name = "macro-F1"

    @classmethod
    def of(cls, matches: ClassificationMatches | DetectionMatches) -> Self:
        """Takes from the matches what the figure needs."""
        return cls(matches.counts)

    @property
    def images(self) -> int:
        """How many images it is computed from."""
        return len(self.counts.true_positives)

    def __call__(self, weights: Floats) -> Floats:
        """See `Headline`."""
        counts = self.counts.weighted(weights)
        return mean_of_present(counts.f1, counts.positives > 0)

    def beside(self, other: Self) -> Self:
        """See `Headline`."""
        mine, others = self.counts, other.counts
        return type(self)(
            Counts(
                np.concatenate((mine.true_positives, others.true_positives)),
                np.concatenate((mine.false_positives, others.false_positives)),
                np.concatenate((mine.false_negatives, others.false_negatives)),
            )
        )

    @property
    def for_draws(self) -> Self:
        """See `Headline`."""
        return self


@dataclass(frozen=True)
class MeanAveragePrecision:
    """Mean over the labels of COCO's average precision at the IoU of the matches.

    Attributes:
        name: tells the IoU.
        detected_on: shape [detections]; the image.
        labels: shape [detections].
        confidences: shape [detections].
        right: shape [detections].
        truths: how many boxes of each label are on each image; shape [images, labels].
        steps: in as many groups of neighbours the ranking of a label is read if it has more detections; 0 to read each.
    """

    name: str
    detected_on: Positions
    labels: Positions
    confidences: Floats
    right: Flags
    truths: Floats
    steps: int = 0

    @classmethod
    def of(cls, matches: DetectionMatches) -> Self:
        """Takes from the matches what the figure needs."""
        return cls(
            name=f"mAP{matches.iou * 100:.0f}",
            detected_on=matches.detections.images,
            labels=matches.detections.labels,
            confidences=matches.confidences,
            right=matches.partners != NOBODY,
            truths=matches.truth_counts,
        )

    @property
    def images(self) -> int:
        """How many images it is computed from."""
        return len(self.truths)

    def by_label(self, weights: Floats) -> Floats:
        """Average precision of each label, NaN where nothing is to be found; shape [draws, labels]."""
        # Once for all labels, in the order that products with sparse matrices need; whole numbers need no more bits.
        by_image = np.ascontiguousarray(weights.T, dtype=np.float32)
        positives = np.asarray((csr_array(self.truths.T, dtype=np.float32) @ by_image).T, dtype=np.float64)
        surest_first = np.argsort(-self.confidences, kind="stable")
        columns = np.full(positives.shape, np.nan)
        for label, own in enumerate(positions_by_label(self.labels[surest_first], positives.shape[1])):
            detections = self._up_to_the_last_right(surest_first[own])
            columns[:, label] = average_precision(*self._times(by_image, detections), positives[:, label])
        return columns

    def __call__(self, weights: Floats) -> Floats:
        """See `Headline`."""
        precision = self.by_label(weights)
        return mean_of_present(precision, ~np.isnan(precision))

    def beside(self, other: Self) -> Self:
        """See `Headline`."""
        return replace(
            self,
            detected_on=np.append(self.detected_on, other.detected_on + self.images),
            labels=np.append(self.labels, other.labels),
            confidences=np.append(self.confidences, other.confidences),
            right=np.append(self.right, other.right),
            truths=np.concatenate((self.truths, other.truths)),
        )

    @property
    def for_draws(self) -> Self:
        """See `Headline`."""
        return replace(self, steps=_STEPS)

    def _times(self, by_image: Singles, detections: Positions) -> tuple[Singles, Singles]:
        """How often detections, or groups of them, count as right and as wrong; both of shape [draws, detections].

        Args:
            by_image: how often each image counts; shape [images, draws].
            detections: of one label, the surest first.
        """
        right, images = self.right[detections], self.detected_on[detections]
        if not self.steps or len(detections) <= self.steps:
            times = by_image[images].T
            return times * right, times * ~right
        group = np.arange(len(detections)) * self.steps // len(detections)
        members = csr_array(
            (np.ones(len(detections), dtype=np.float32), (np.where(right, group, group + self.steps), images)),
            shape=(2 * self.steps, self.images),
        )
        times = np.ascontiguousarray((members @ by_image).T)
        return times[:, : self.steps], times[:, self.steps :]

    def _up_to_the_last_right(self, detections: Positions) -> Positions:
        """Without the wrong ones at the end, which change no average precision and are most of what a detector says."""
        right = np.flatnonzero(self.right[detections])
        return detections[: right[-1] + 1 if right.size else 0]
