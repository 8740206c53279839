"""Confidences that mean what they say: 80 % is right eight times in ten."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_softmax

from sightsmith_training.engine.classification.heads import Head, activate
from sightsmith_training.engine.classification.truth import Activation, Logits, Probabilities, Truth

_WIDEST = float(np.log(20))  # A temperature beyond 1/20 to 20 says that the images are too few to tell.

_Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """A straight line for each label's logit, which a linear head can take into itself: no graph changes for it.

    Attributes:
        scale: shape [labels], above 0; one over the temperature.
        shift: shape [labels].
        activation: behind the logits.
    """

    scale: _Numbers
    shift: _Numbers
    activation: Activation

    def scores(self, logits: Logits) -> Probabilities:
        """Calibrated scores of uncalibrated logits, shape [images, labels]."""
        return activate(logits * self.scale + self.shift, self.activation)

    def apply_to(self, head: Head) -> Head:
        """The head whose scores are calibrated."""
        return head.rescaled(self.scale, self.shift)


def fit_calibration(logits: Logits, truth: Truth, activation: Activation) -> Calibration:
    """Fits a calibration on predictions for images that the model did not learn from.

    With a softmax it is one temperature, which never changes the most likely label: Guo et al., "On Calibration of
    Modern Neural Networks" (2017), section 4.2. With sigmoids it is a line for each label: Platt, "Probabilistic
    Outputs for Support Vector Machines" (1999), with his softened targets, which hold for a handful of images, and a
    slope that keeps the order of the images.

    Args:
        logits: shape [images, labels]; images can come several times, from several repetitions.
        truth: shape [images, labels]; with a softmax one label an image.
        activation: behind the logits.
    """
    labels = truth.shape[1]
    if activation == "softmax":
        return Calibration(np.full(labels, _softmax_scale(logits, truth)), np.zeros(labels), activation)
    scale, shift = _platt_lines(logits, truth)
    return Calibration(scale, shift, activation)


def _softmax_scale(logits: Logits, truth: Truth) -> float:
    def loss(log_scale: float) -> float:
        return float(-log_softmax(logits * np.exp(log_scale), axis=1)[truth].mean())

    found = minimize_scalar(loss, bounds=(-_WIDEST, _WIDEST), method="bounded")
    # The search never looks at the middle itself; standing still must not make anything worse.
    return float(np.exp(found.x)) if found.fun < loss(0.0) else 1.0


def _platt_lines(logits: Logits, truth: Truth) -> tuple[_Numbers, _Numbers]:
    positives, negatives = truth.sum(axis=0), (~truth).sum(axis=0)
    targets = np.where(truth, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def value_and_slope(numbers: _Numbers) -> tuple[float, _Numbers]:
        log_scale, shift = numbers.reshape(2, -1)
        lines = logits * np.exp(log_scale) + shift
        # A weak pull towards the uncalibrated slope: labels without carriers would let it run away.
        loss = (np.logaddexp(0, lines) - targets * lines).sum() + (log_scale**2).sum() / 2
        excess = expit(lines) - targets
        slopes = [(excess * logits).sum(axis=0) * np.exp(log_scale) + log_scale, excess.sum(axis=0)]
        return float(loss), np.concatenate(slopes)

    labels = truth.shape[1]
    bounds = [(-_WIDEST, _WIDEST)] * labels + [(None, None)] * labels
    found = minimize(value_and_slope, np.zeros(2 * labels), jac=True, method="L-BFGS-B", bounds=bounds)
    log_scale, shift = np.asarray(found.x).reshape(2, -1)
    return np.exp(log_scale), shift
