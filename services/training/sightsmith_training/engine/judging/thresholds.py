"""The threshold of each label at which its F1 is best."""

from collections.abc import Sequence

import numpy as np

from sightsmith_training.engine.judging.arrays import Floats
from sightsmith_training.engine.judging.rankings import Ranking

UNKNOWN_THRESHOLD = 0.5
"""For a label of which nothing can be learned from the predictions."""


def best_thresholds(rankings: Sequence[Ranking]) -> Floats:
    """The best threshold of each label; shape [labels].

    The rankings should come from predictions for images that the model was not trained on, and not from the test
    images, whose figures would look too good.
    """
    return np.array([best_threshold(ranking) for ranking in rankings])


def worthwhile_thresholds(rankings: Sequence[Ranking]) -> Floats:
    """The best thresholds, but 0 where they gain less than chance may; shape [labels].

    For models whose surest label is the answer: a threshold takes answers away, and one that was fitted to a few
    images takes away right ones. It must raise the F1 by more than its standard error (the rule of Breiman et al.,
    "Classification and Regression Trees" (1984), §3.4.3, with no threshold as the simpler model).
    """
    return np.array([_worthwhile_threshold(ranking) for ranking in rankings])


def _worthwhile_threshold(ranking: Ranking) -> float:
    best = best_threshold(ranking)
    without, with_best = ranking.at(np.array([0.0, best])).f1.tolist()
    error = np.sqrt(without * (1 - without) / max(1, ranking.positives))
    return best if with_best - without > error else 0.0


def best_threshold(ranking: Ranking) -> float:
    """The threshold with the highest F1.

    Every threshold between two neighbouring confidences is as good as the other: the middle is taken, which is the
    safest with few images. Of several such gaps the widest is taken, for the same reason.

    Returns:
        Above 0 and at most 1; `UNKNOWN_THRESHOLD` where no threshold lets anything right through.
    """
    levels = ranking.levels[ranking.levels > 0]
    f1 = ranking.at(levels).f1
    if not f1.any():
        return UNKNOWN_THRESHOLD
    next_lower = np.append(levels[1:], 0.0)
    gaps = np.where(f1 == f1.max(), levels - next_lower, 0.0)
    widest = int(gaps.argmax())
    middle = (levels[widest] + next_lower[widest]) / 2
    # Between two neighbouring floating-point numbers there is no middle.
    return float(middle if middle > next_lower[widest] else levels[widest])
