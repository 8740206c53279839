"""What more training images would bring."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sightsmith_training.engine.judging.arrays import Floats

_LEAST_SIZES = 3  # Through fewer points goes more than one power law.
_RATES = (0.05, 2.0)
_STARTING_RATES = (0.2, 0.5, 1.0)


@dataclass(frozen=True)
class LearningCurve:
    """The score of a model trained on n images: `ceiling - gap * n ** -rate`.

    Attributes:
        ceiling: what no number of images would exceed, 0 to 1.
        gap: 0 or more.
        rate: how quickly the gap closes, 0.05 to 2.
    """

    ceiling: float
    gap: float
    rate: float

    def score_at(self, images: float) -> float:
        """The score to expect of so many training images, 0 to 1."""
        return max(0.0, self.ceiling - self.gap * float(images**-self.rate))

    def gain_of_doubling(self, images: float) -> float:
        """By how much the score should rise with twice as many training images; 0 or more."""
        return self.score_at(2 * images) - self.score_at(images)


def fit_learning_curve(images: Sequence[float], scores: Sequence[float]) -> LearningCurve | None:
    """Fits a power law with a ceiling.

    Source: Hestness et al., "Deep learning scaling is predictable, empirically" (2017), §3; Viering and Loog, "The
    shape of learning curves: a review" (2022), for the power law with three parameters.

    Args:
        images: sizes of training sets, each above 0; a size may occur several times.
        scores: of the models trained on them, 0 to 1.

    Returns:
        The curve of least squares, or None from fewer than three sizes.
    """
    sizes, reached = np.asarray(images, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if len(np.unique(sizes)) < _LEAST_SIZES:
        return None
    # Not at the start of those who only read curves: it takes a third of a second to load.
    from scipy.optimize import least_squares

    # Measured in the smallest size, so that the numbers to be fitted are all of about 1.
    unit = float(sizes.min())

    def misses(parameters: Floats) -> Floats:
        ceiling, gap, rate = parameters
        return np.asarray(ceiling - gap * (sizes / unit) ** -rate - reached)

    bounds = ([0, 0, _RATES[0]], [1, np.inf, _RATES[1]])
    starts = [(min(1.0, reached.max()), float(np.ptp(reached)) + 0.01, rate) for rate in _STARTING_RATES]
    fits = [least_squares(misses, start, bounds=bounds) for start in starts]
    ceiling, gap, rate = min(fits, key=lambda fit: float(fit.cost)).x.tolist()
    return LearningCurve(ceiling, gap * unit**rate, rate)
