"""Whether one detector is better than another by more than chance."""

from collections.abc import Mapping

import numpy as np

from sightsmith_training.engine.detection.judgement import Judgement
from sightsmith_training.engine.judging.arrays import Floats
from sightsmith_training.engine.judging.detection_matches import DetectionMatches, match_at
from sightsmith_training.engine.judging.headlines import MeanAveragePrecision
from sightsmith_training.engine.judging.resampling import affordable_draws, bootstrap
from sightsmith_training.engine.specification import Preference

_WORTHWHILE = 0.01  # Less is of no use to anybody, however sure.
_MARGIN: Mapping[Preference, float] = {"speed": 2.0, "balanced": 1.0, "accuracy": 0.5}
"""By how many standard errors."""

_RESAMPLES = 200
_IOUS = np.linspace(0.5, 0.95, 10)


def is_better(judgement: Judgement, other: Judgement, preference: Preference, seed: int) -> bool:
    """Whether a detector should take another one's place.

    By one standard error as a rule (Breiman et al., "Classification and Regression Trees", 1984, section 3.4.3). Fine-
    tuned classifiers need more, because they replace linear layers that are hard to beat. Of two designs of detectors
    neither is known to be the better one beforehand, and little is lost by changing one for its equal.

    Args:
        judgement: of the one that is to take the place.
        other: of the one that has it, on the same images.
        preference: the user's wish.
        seed: of the bootstrap.
    """
    gain = judgement.map_50_95 - other.map_50_95
    if gain <= _WORTHWHILE:
        return False
    return gain > _MARGIN[preference] * standard_error_of_gain(judgement.matches, other.matches, seed)


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
