"""From scores to answers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sightsmith.errors import FieldViolation
from sightsmith_inference.triton import Scores


@dataclass(frozen=True)
class Prediction:
    """A label that was recognised, and how sure the model is: 0 to 1."""

    label: str
    confidence: float


@dataclass(frozen=True)
class Wish:
    """Which labels are wanted.

    Attributes:
        min_confidence: labels below are left out; None for the most likely one alone.
        max_results: how many labels at most; 0 for no limit.
    """

    min_confidence: float | None = None
    max_results: int = 0

    def violations(self) -> list[FieldViolation]:
        """What is wrong with it."""
        found = []
        # Not a number compares false with everything, and so is found too.
        if self.min_confidence is not None and not 0 <= self.min_confidence <= 1:
            found.append(FieldViolation("min_confidence", f"must be from 0 to 1, not {self.min_confidence}"))
        if self.max_results < 0:
            found.append(FieldViolation("max_results", f"must not be negative, not {self.max_results}"))
        return found

    @property
    def limit(self) -> int | None:
        """How many labels at most; None for no limit."""
        return 1 if self.min_confidence is None else self.max_results or None


def rank(scores: Scores, labels: Sequence[str], wish: Wish) -> tuple[Prediction, ...]:
    """Picks the wanted labels of one image, the most likely first; equally likely ones in the order of the model.

    Args:
        scores: finite, of shape [labels].
        labels: the model's labels.
        wish: which of them are wanted.
    """
    least = -math.inf if wish.min_confidence is None else wish.min_confidence
    order = np.argsort(-scores, kind="stable")[: wish.limit]
    # Rounding may carry a probability a hair beyond 1.
    ranked = (Prediction(labels[index], min(max(float(scores[index]), 0.0), 1.0)) for index in order)
    return tuple(prediction for prediction in ranked if prediction.confidence >= least)
