"""The part that is trained: a regularised linear classifier on frozen features."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.utils.extmath import softmax

Features = npt.NDArray[np.float32]
"""Shape [images, features]."""

EVEN_OUT_OFFSET = 0.001
"""Added before the root, whose slope at zero would magnify rounding errors without bound."""

# A head that stops early is one more candidate; cross-validation judges it as it is. Set for the whole process, because
# a narrower filter is not safe between threads.
warnings.filterwarnings("ignore", category=ConvergenceWarning)

_MAX_STEPS = 1000
_TOLERANCE = 1e-5


def even_out(features: Features) -> Features:
    """The square root of each feature: the power normalisation of Perronnin et al. (ECCV 2010, section 3.2).

    Means of rectified activations are mostly near zero with a few large ones, which a linear classifier then follows
    too far. Under the root every feature counts more alike. Features must not be negative.
    """
    evened: Features = np.sqrt(features + np.float32(EVEN_OUT_OFFSET))
    return evened


@dataclass(frozen=True)
class Head:
    """A linear layer before a softmax, over evened-out features.

    Attributes:
        weights: shape [labels, features].
        bias: shape [labels].
    """

    weights: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]

    def predict(self, features: Features) -> npt.NDArray[np.float64]:
        """Probabilities of shape [images, labels]; each row sums to 1."""
        scores: npt.NDArray[np.float64] = softmax(features @ self.weights.T + self.bias)
        return scores


def fit_heads(features: Features, targets: npt.NDArray[np.intp], strengths: Sequence[float]) -> Iterator[Head]:
    """Fits multinomial logistic regression on standardised features, once for each strength.

    Every label weighs the same however many images it has: otherwise the penalty, which all share, falls mostly on the
    rare ones, and the score that we promise is a mean over labels.

    With fewer images than features, the features are first turned into the space that the images span. A penalty on the
    length of the weights keeps them inside that space, so the solution is the same and far fewer numbers are searched.

    Args:
        features: evened-out, of the training images.
        targets: shape [images]; label positions 0…n-1, each at least once.
        strengths: inverse regularisation, ascending: each fit starts from the solution before, which is faster.

    Yields:
        A head for each strength. The standardisation is folded into its weights.
    """
    scaler = StandardScaler()
    standard = scaler.fit_transform(features.astype(np.float64))
    basis = np.linalg.qr(standard.T)[0] if standard.shape[0] < standard.shape[1] else None
    inputs = standard if basis is None else standard @ basis
    model = LogisticRegression(class_weight="balanced", max_iter=_MAX_STEPS, tol=_TOLERANCE, warm_start=True)
    for strength in strengths:
        model.set_params(C=strength).fit(inputs, targets)
        weights, bias = _one_row_per_label(model)
        weights = (weights if basis is None else weights @ basis.T) / scaler.scale_
        yield Head(weights, bias - weights @ scaler.mean_)


def _one_row_per_label(model: LogisticRegression) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    weights, bias = model.coef_, model.intercept_
    if len(weights) == 1:  # Of two labels scikit-learn keeps only the second; a softmax needs the first too, as zeros.
        return np.concatenate([np.zeros_like(weights), weights]), np.concatenate([np.zeros_like(bias), bias])
    return weights, bias
