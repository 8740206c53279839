"""Outcomes, counted, and the ratios that are told of them."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from sightsmith_training.engine.judging.arrays import Flags, Floats


@dataclass(frozen=True)
class Counts:
    """How often something was found, wrongly claimed and missed: three arrays of one shape.

    A ratio without a denominator is 0, as in scikit-learn.

    Attributes:
        true_positives: what is there and was predicted.
        false_positives: what was predicted and is not there.
        false_negatives: what is there and was not predicted.
    """

    true_positives: Floats
    false_positives: Floats
    false_negatives: Floats

    @property
    def precision(self) -> Floats:
        """Share of the predictions that are right."""
        return ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> Floats:
        """Share of what is there that was predicted."""
        return ratio(self.true_positives, self.positives)

    @property
    def f1(self) -> Floats:
        """Harmonic mean of precision and recall."""
        return ratio(2 * self.true_positives, 2 * self.true_positives + self.false_positives + self.false_negatives)

    @property
    def positives(self) -> Floats:
        """How much is there to be found."""
        return self.true_positives + self.false_negatives

    def weighted(self, weights: Floats) -> "Counts":
        """Sums over images, the first axis, each as often as `weights`, of shape [sums, images], says."""
        # In one product, which has to put the weights into another order.
        columns = np.hstack((self.true_positives, self.false_positives, self.false_negatives))
        return Counts(*np.hsplit(weighted_sums(weights, columns), 3))

    def total(self, axis: int) -> "Counts":
        """The sums along one axis."""
        return Counts(self.true_positives.sum(axis), self.false_positives.sum(axis), self.false_negatives.sum(axis))


def ratio(part: Floats, whole: Floats) -> Floats:
    """Divides, and gives 0 where the divisor is 0."""
    return np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=whole != 0)


def weighted_sums(weights: Floats, numbers: Floats) -> Floats:
    """The matrix product of `weights` [sums, images] and `numbers` [images, labels], most of which are 0."""
    return np.asarray((csr_array(numbers.T) @ weights.T).T)


def mean_of_present(values: Floats, present: Flags) -> Floats:
    """Mean over the labels, the last axis, that have something to be found; 0 where none has."""
    return ratio(np.where(present, values, 0.0).sum(axis=-1), present.sum(axis=-1).astype(np.float64))
