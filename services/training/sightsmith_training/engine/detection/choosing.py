"""Whether one detector is better than another by more than chance."""

import numpy as np

from sightsmith_training.engine.classification.candidates import luck
from sightsmith_training.engine.detection.judgement import Judgement
from sightsmith_training.engine.judging.arrays import Floats
from sightsmith_training.engine.judging.detection_matches import DetectionMatches, match_at
from sightsmith_training.engine.judging.headlines import MeanAveragePrecision
from sightsmith_training.engine.judging.resampling import affordable_draws, bootstrap

_WORTHWHILE = 0.01  # Less is of no use to anybody, however sure.
_RESAMPLES = 200
_IOUS = np.linspace(0.5, 0.95, 10)


def is_better(judgement: Judgement, other: Judgement, rivals: int, seed: int) -> bool:
    """Whether a detector should take another one's place.

    It has to be better by more than the luckiest of as many equals would be, see `candidates.choose`.

    Args:
        judgement: of the one that is to take the place.
        other: of the one that has it, on the same images.
        rivals: how many there are that may be tried for it.
        seed: of the bootstrap.
    """
    gain = judgement.map_50_95 - other.map_50_95
    return gain > _WORTHWHILE and gain > luck(rivals) * standard_error_of_gain(judgement.matches, other.matches, seed)


def standard_error_of_gain(matches: DetectionMatches, others: DetectionMatches, seed: int) -> float:
    """Standard error of the difference of two mAP50-95 on the same images, by the bootstrap.

    Both are computed from the same resampled images: what makes an image hard is hard for both (Efron and Tibshirani,
    "An Introduction to the Bootstrap", 1993, chapter 6).
    """
    ours, theirs = ([MeanAveragePrecision.of(match_at(each, iou)) for iou in _IOUS] for each in (matches, others))

    def gains(weights: Floats) -> Floats:
        differences = [own.for_draws(weights) - other.for_draws(weights) for own, other in pairs]
        return np.asarray(np.mean(differences, axis=0))

    pairs = list(zip(ours, theirs, strict=True))
    numbers = len(_IOUS) * (len(matches.confidences) + len(others.confidences))
    return float(bootstrap(gains, len(matches.images), seed, affordable_draws(_RESAMPLES, numbers)).std())
