"""Whether a confidence of 80 % is right 80 times in a hundred."""

from dataclasses import dataclass

import numpy as np

from sightsmith_training.engine.judging.arrays import Flags, Floats
from sightsmith_training.engine.judging.detection_matches import DetectionMatches
from sightsmith_training.engine.judging.matches import ClassificationMatches
from sightsmith_training.engine.judging.overlaps import NOBODY

LEAST_CONFIDENCE = 0.05
"""Below this, nobody takes a score for a prediction; without a limit the many that are near 0 would hide the rest."""

_BINS = 10


@dataclass(frozen=True)
class ReliabilityBin:
    """Predictions of similar confidence: those above `lower` and up to `upper`.

    Attributes:
        lower: of the bin, 0 to 1.
        upper: of the bin, 0 to 1.
        confidence: mean over its predictions; 0 where there are none.
        accuracy: share of its predictions that are right; 0 where there are none.
        count: how many predictions.
    """

    lower: float
    upper: float
    confidence: float
    accuracy: float
    count: int


@dataclass(frozen=True)
class Reliability:
    """How far confidences can be taken at their word.

    Attributes:
        calibration_error: expected calibration error, 0 to 1: the mean over all predictions of how far the confidence
            and the accuracy of their bin are apart; None where there are no predictions.
        bins: ten of equal width, from 0 to 1.
    """

    calibration_error: float | None
    bins: list[ReliabilityBin]


def classification_reliability(matches: ClassificationMatches) -> Reliability:
    """Of the surest label of each image or, where an image can have several labels, of every label's score.

    Scores below `LEAST_CONFIDENCE` are left out where an image can have several labels.
    """
    if matches.single_label:
        surest = matches.scores.argmax(axis=1)[:, None]
        right = np.take_along_axis(matches.truth, surest, axis=1)[:, 0]
        return reliability(matches.scores.max(axis=1), right)
    shown = matches.scores >= LEAST_CONFIDENCE
    return reliability(matches.scores[shown], matches.truth[shown])


def detection_reliability(matches: DetectionMatches) -> Reliability:
    """Of the detections at or above `LEAST_CONFIDENCE`; right are those that found a labelled box."""
    shown = matches.confidences >= LEAST_CONFIDENCE
    return reliability(matches.confidences[shown], matches.partners[shown] != NOBODY)


def reliability(confidences: Floats, right: Flags) -> Reliability:
    """Expected calibration error and its bins, after Guo et al., "On Calibration of Modern Neural Networks" (2017), §2.

    Args:
        confidences: shape [predictions], 0 to 1.
        right: shape [predictions].
    """
    bounds = np.linspace(0, 1, _BINS + 1)
    places = np.clip(np.searchsorted(bounds, confidences, side="left") - 1, 0, _BINS - 1)
    counts = np.bincount(places, minlength=_BINS)
    divisors = np.maximum(counts, 1)
    confidence = np.bincount(places, confidences, _BINS) / divisors
    accuracy = np.bincount(places, right.astype(np.float64), _BINS) / divisors
    error = float(counts @ np.abs(confidence - accuracy) / len(confidences)) if len(confidences) else None
    columns = (bounds[:-1], bounds[1:], confidence, accuracy, counts)
    bins = [ReliabilityBin(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]
    return Reliability(error, bins)
