"""The linear classifier on features, for one label an image or several."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, logsumexp, softmax
from sklearn.preprocessing import StandardScaler

from sightsmith_training.engine.classification.truth import Activation, Logits, Probabilities, Truth, balanced_weights
from sightsmith_training.engine.heads import Features

_MAX_STEPS = 1000
_TOLERANCE = 1e-4  # Ten times less makes a fit twice as long and its predictions no better.
_IMAGES_IN_A_BLOCK = 2048  # Whose features are doubles at once.

_Numbers = npt.NDArray[np.float64]


def activate(logits: Logits, activation: Activation) -> Probabilities:
    """Turns logits of shape [images, labels] into scores of 0 to 1."""
    scores: Probabilities = softmax(logits, axis=1) if activation == "softmax" else expit(logits)
    return scores


@dataclass(frozen=True)
class Head:
    """A linear layer over evened-out features and the activation behind it.

    Attributes:
        weights: shape [labels, features].
        bias: shape [labels].
        activation: behind the layer.
    """

    weights: _Numbers
    bias: _Numbers
    activation: Activation

    def logits(self, features: Features) -> Logits:
        """Shape [images, labels]."""
        logits = np.empty((len(features), len(self.bias)))
        for rows in _blocks(len(features)):
            logits[rows] = features[rows] @ self.weights.T + self.bias
        return logits

    def predict(self, features: Features) -> Probabilities:
        """Scores of shape [images, labels]; with a softmax each row sums to 1."""
        return activate(self.logits(features), self.activation)

    def rescaled(self, scale: _Numbers, shift: _Numbers) -> "Head":
        """The head whose logits are `scale` times the present ones plus `shift`; both of shape [labels]."""
        return replace(self, weights=self.weights * scale[:, None], bias=self.bias * scale + shift)


def fit_heads(features: Features, truth: Truth, activation: Activation, strengths: Sequence[float]) -> Iterator[Head]:
    """Fits logistic regression on standardised features, once for each strength: multinomial, or one label at a time.

    Every label weighs the same however many images it has: otherwise the penalty, which all share, falls mostly on the
    rare ones, and the score that we promise is a mean over labels.

    With fewer images than features, the features are first turned into the space that the images span. A penalty on the
    length of the weights keeps them inside that space, so the solution is the same and far fewer numbers are searched.
    All labels are searched for at once, in matrices, which makes hundreds of them quick.

    Args:
        features: evened-out, of the training images.
        truth: shape [images, labels]; for a softmax one label an image.
        activation: behind the layer.
        strengths: inverse regularisation as scikit-learn's `C`, ascending: each fit starts from the solution before.

    Yields:
        A head for each strength. The standardisation is folded into its weights.
    """
    scaler, inputs = _standardised(features)
    basis = np.linalg.qr(inputs.T.astype(np.float64))[0] if inputs.shape[0] < inputs.shape[1] else None
    objective = _Objective(inputs if basis is None else inputs @ basis, truth, activation)
    solution = np.zeros((truth.shape[1], objective.inputs + 1))
    for strength in strengths:
        solution = objective.minimise(strength, solution)
        weights = (solution[:, :-1] if basis is None else solution[:, :-1] @ basis.T) / scaler.scale_
        yield Head(weights, solution[:, -1] - weights @ scaler.mean_, activation)


def fit_bytes(images: int, features: int) -> int:
    """Memory that a fit takes, about, when there are many images: for what it is given, and for that standardised."""
    return 2 * images * features * np.dtype(np.float32).itemsize


def _standardised(features: Features) -> tuple[StandardScaler, Features]:
    """Of mean 0 and deviation 1; of many images the doubles would not fit into memory, so they are never all there."""
    scaler = StandardScaler()
    for rows in _blocks(len(features)):
        scaler.partial_fit(features[rows].astype(np.float64))
    standard = np.empty_like(features)
    for rows in _blocks(len(features)):
        standard[rows] = scaler.transform(features[rows].astype(np.float64))
    return scaler, standard


def _blocks(images: int) -> Iterator[slice]:
    return (slice(start, start + _IMAGES_IN_A_BLOCK) for start in range(0, images, _IMAGES_IN_A_BLOCK))


class _Objective:
    """Weighted log loss of a linear layer with a penalty on its weights, and its slope."""

    def __init__(self, inputs: npt.NDArray[np.floating], truth: Truth, activation: Activation) -> None:
        self._inputs = inputs
        self._truth = truth
        self._weights = balanced_weights(truth, activation) / len(truth)
        self._activation = activation

    @property
    def inputs(self) -> int:
        """Of the layer, without the bias."""
        return int(self._inputs.shape[1])

    def minimise(self, strength: float, start: _Numbers) -> _Numbers:
        """The layer [labels, inputs + 1] with the least loss; the last column is the bias, which goes unpunished."""
        penalty = 1 / (strength * len(self._inputs))

        def value_and_slope(numbers: _Numbers) -> tuple[float, _Numbers]:
            layer = numbers.reshape(start.shape)
            loss, slope = self._loss_and_slope(layer)
            punished = np.hstack([layer[:, :-1], np.zeros((len(layer), 1))])
            return loss + penalty / 2 * float((punished**2).sum()), (slope + penalty * punished).ravel()

        options = {"maxiter": _MAX_STEPS, "gtol": _TOLERANCE, "ftol": 64 * np.finfo(float).eps, "maxls": 50}
        found = minimize(value_and_slope, start.ravel(), jac=True, method="L-BFGS-B", options=options)
        return np.asarray(found.x).reshape(start.shape)

    def _loss_and_slope(self, layer: _Numbers) -> tuple[float, _Numbers]:
        loss, slope = 0.0, np.zeros_like(layer)
        for rows in _blocks(len(self._inputs)):
            inputs, truth = self._inputs[rows].astype(np.float64, copy=False), self._truth[rows]
            weights = self._weights[rows]
            logits = inputs @ layer[:, :-1].T + layer[:, -1]
            # Of both losses the slope by a logit is the score less the truth.
            excess = weights * (activate(logits, self._activation) - truth)
            loss += float((weights * self._losses(logits, truth)).sum())
            slope[:, :-1] += excess.T @ inputs
            slope[:, -1] += excess.sum(axis=0)
        return loss, slope

    def _losses(self, logits: Logits, truth: Truth) -> _Numbers:
        if self._activation == "softmax":
            return np.asarray(logsumexp(logits, axis=1, keepdims=True) - (logits * truth).sum(axis=1, keepdims=True))
        return np.asarray(np.logaddexp(0, logits) - logits * truth)
