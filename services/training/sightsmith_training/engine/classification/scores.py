"""How well out-of-fold predictions fit the truth, in one number, and how far that number can be trusted."""

from typing import Any

import numpy as np
import numpy.typing as npt

from sightsmith_training.engine.classification.truth import Activation, Probabilities, Truth

_THRESHOLD = 0.5
_RESAMPLES = 200
_LEAST_PROBABILITY = 1e-7


def predicted(scores: Probabilities, activation: Activation) -> Truth:
    """The most likely label of each image, or all labels of 0.5 and more; shape [images, labels]."""
    if activation == "sigmoid":
        return scores >= _THRESHOLD
    return np.asarray(np.eye(scores.shape[1], dtype=np.bool_)[scores.argmax(axis=1)])


def macro_f1(scores: Probabilities, truth: Truth, activation: Activation) -> float:
    """Mean F1 over the labels that an image here carries, 0 to 1; a label that is never predicted has an F1 of 0."""
    return float(_macro_f1(predicted(scores, activation), truth, np.ones((1, len(truth))))[0])


def log_loss(scores: Probabilities, truth: Truth, activation: Activation) -> float:
    """Mean negative log likelihood in nats: of the true label, or of each label's presence."""
    clipped = np.clip(scores, _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
    if activation == "softmax":
        return float(-np.log(clipped[truth]).mean())
    return float(-np.where(truth, np.log(clipped), np.log1p(-clipped)).mean())


def standard_error_of_gain(
    scores: Probabilities, others: Probabilities, truth: Truth, activation: Activation, seed: int
) -> float:
    """Standard error of the difference of two macro-F1 on the same images, by the bootstrap.

    Both are counted on the same resampled images (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993,
    chapter 6): what makes an image hard is hard for both, so their difference is known better than either.
    """
    counts = np.random.default_rng(seed).multinomial(len(truth), np.full(len(truth), 1 / len(truth)), _RESAMPLES)
    ours, theirs = (_macro_f1(predicted(each, activation), truth, counts) for each in (scores, others))
    return float((ours - theirs).std())


def _macro_f1(predictions: Truth, truth: Truth, counts: npt.NDArray[np.number[Any]]) -> Probabilities:
    """Macro-F1 of resampled images; `counts` [resamples, images] says how often each image was drawn."""
    found, claimed, carried = (counts @ flags.astype(np.float64) for flags in (predictions & truth, predictions, truth))
    f1 = 2 * found / np.maximum(claimed + carried, 1)
    present = carried > 0
    return np.asarray((f1 * present).sum(axis=1) / np.maximum(present.sum(axis=1), 1))
