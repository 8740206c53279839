"""Detectors' confidences that mean what they say: of those at 80 %, eight in ten are right."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from sightsmith_training.engine.classification.calibration import fit_calibration

_ENOUGH = 10  # Right detections, and wrong ones: a line through fewer is chance.

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ScoreLine:
    """A straight line for the logits of all labels.

    It keeps the order of all detections, so no mean average precision changes.

    Attributes:
        scale: above 0.
        shift: added to the scaled logit.
    """

    scale: float = 1.0
    shift: float = 0.0

    def scores(self, raw: Scores) -> Scores:
        """Calibrated scores of raw ones, 0 to 1, of the same shape."""
        calibrated: Scores = expit(self.scale * logit(raw) + self.shift)
        return calibrated


NO_CHANGE = ScoreLine()


def fit_score_line(raw: Scores, right: npt.NDArray[np.bool_]) -> ScoreLine:
    """Fits a line on detections on images that the detector did not learn from, see `fit_calibration`.

    Args:
        raw: scores, above 0 and below 1, shape [detections].
        right: whether each detection found a labelled box, shape [detections].

    Returns:
        `NO_CHANGE` where too few detections are right, or too few wrong, to tell.
    """
    if min(right.sum(), (~right).sum()) < _ENOUGH:
        return NO_CHANGE
    least = np.finfo(np.float32).eps  # A score that was rounded to 0 or 1 has no logit.
    logits = logit(raw.clip(least, 1 - least))
    found = fit_calibration(logits[:, None], right[:, None], "sigmoid")
    return ScoreLine(float(found.scale[0]), float(found.shift[0]))
