"""What a classifier says of images beside what is labelled on them: the one set of matches behind all its figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from sightsmith_training.engine.judging.answers import LabelledImage
from sightsmith_training.engine.judging.arrays import Flags, Floats
from sightsmith_training.engine.judging.counts import Counts
from sightsmith_training.engine.judging.rankings import Ranking


class Outcome(IntEnum):
    """What became of one label of one image, or of one box."""

    TRUE_NEGATIVE = 0
    FALSE_NEGATIVE = 1
    FALSE_POSITIVE = 2
    TRUE_POSITIVE = 3


@dataclass(frozen=True)
class ClassificationMatches:
    """Every label of every image: how sure the model is of it, and whether it is there.

    The thresholds decide what is predicted; other ones need only `dataclasses.replace(matches, thresholds=…)`.

    Attributes:
        images: the judged images.
        labels: names, in the order of all arrays.
        scores: shape [images, labels], 0 to 1.
        truth: shape [images, labels]; whether the image carries the label.
        thresholds: shape [labels]; the lowest score at which a label is predicted.
        single_label: whether only the surest label of an image can be predicted.
    """

    images: tuple[LabelledImage, ...]
    labels: tuple[str, ...]
    scores: Floats
    truth: Flags
    thresholds: Floats
    single_label: bool

    @property
    def predicted(self) -> Flags:
        """Shape [images, labels]."""
        return self._possible & (self.scores >= self.thresholds)

    @property
    def outcomes(self) -> npt.NDArray[np.int8]:
        """Values of `Outcome`; shape [images, labels]."""
        return (2 * self.predicted + self.truth).astype(np.int8)

    @property
    def right(self) -> Flags:
        """Whether exactly the labels of the image are predicted; shape [images]."""
        return np.asarray((self.predicted == self.truth).all(axis=1))

    @property
    def counts(self) -> Counts:
        """Shape [images, labels], each number 0 or 1."""
        predicted, truth = self.predicted, self.truth
        return Counts(
            (predicted & truth).astype(np.float64),
            (predicted & ~truth).astype(np.float64),
            (~predicted & truth).astype(np.float64),
        )

    @property
    def rankings(self) -> list[Ranking]:
        """By label, what a threshold could let through. Where an image has one label, that is its surest label only."""
        possible = self._possible
        return [
            Ranking.of(
                self.scores[possible[:, label], label],
                self.truth[possible[:, label], label],
                int(self.truth[:, label].sum()),
            )
            for label in range(len(self.labels))
        ]

    @property
    def _possible(self) -> Flags:
        if not self.single_label:
            return np.ones(self.scores.shape, dtype=np.bool_)
        return np.asarray(self.scores.argmax(axis=1)[:, None] == np.arange(len(self.labels)))


def match_labels(
    images: Sequence[LabelledImage],
    labels: Sequence[str],
    scores: npt.NDArray[np.floating],
    thresholds: npt.NDArray[np.floating],
    *,
    single_label: bool,
) -> ClassificationMatches:
    """Puts the scores of images beside their labels.

    Args:
        images: what is labelled.
        labels: names, in the order of the model.
        scores: shape [images, labels], 0 to 1.
        thresholds: shape [labels].
        single_label: whether the model gives an image one label at most.

    Raises:
        ValueError: if the shapes do not fit each other or a score is not a number.
    """
    if scores.shape != (len(images), len(labels)) or thresholds.shape != (len(labels),):
        raise ValueError(f"{len(images)} images, {len(labels)} labels: {scores.shape}, {thresholds.shape} do not fit")
    if np.isnan(scores).any():
        raise ValueError("some scores are not numbers")
    truth = np.zeros(scores.shape, dtype=np.bool_)
    for row, image in zip(truth, images, strict=True):
        row[image.labels] = True
    return ClassificationMatches(
        images=tuple(images),
        labels=tuple(labels),
        scores=np.clip(scores.astype(np.float64), 0, 1),
        truth=truth,
        thresholds=thresholds.astype(np.float64),
        single_label=single_label,
    )
