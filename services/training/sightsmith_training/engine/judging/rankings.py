"""All that a threshold decides about one label."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sightsmith_training.engine.judging.arrays import Flags, Floats
from sightsmith_training.engine.judging.counts import Counts


@dataclass(frozen=True)
class Ranking:
    """What could be predicted of one label, the least sure first, and how much there is to find.

    Attributes:
        confidences: shape [predictions], ascending, 0 to 1.
        right: shape [predictions]; whether the prediction would be right.
        positives: how many right predictions a perfect model would make; some may not be among these at all.
    """

    confidences: Floats
    right: Flags
    positives: int

    @classmethod
    def of(cls, confidences: npt.NDArray[np.floating], right: Flags, positives: int) -> "Ranking":
        """Sorts predictions that come in any order."""
        order = np.argsort(confidences, kind="stable")
        return cls(np.asarray(confidences[order], dtype=np.float64), right[order], positives)

    @property
    def levels(self) -> Floats:
        """The confidences that occur, each once, descending: every threshold that makes a difference."""
        return np.unique(self.confidences)[::-1]

    def at(self, thresholds: Floats) -> Counts:
        """What comes of predicting all whose confidence is at or above each threshold; shape [thresholds]."""
        first = np.searchsorted(self.confidences, thresholds, side="left")
        right_from = np.append(self.right[::-1].cumsum()[::-1], 0).astype(np.float64)
        found = right_from[first]
        return Counts(found, len(self.confidences) - first - found, self.positives - found)

    @property
    def average_precision(self) -> float | None:
        """Area under the steps of precision over recall, as in scikit-learn; None where there is nothing to find."""
        if not self.positives:
            return None
        counts = self.at(self.levels)
        return float(np.sum(np.diff(counts.recall, prepend=0.0) * counts.precision))
