"""What other thresholds would give: curves to draw, small enough to be stored."""

from dataclasses import dataclass

import numpy as np

from sightsmith_training.engine.judging.arrays import Floats
from sightsmith_training.engine.judging.rankings import Ranking

_STEPS = np.round(np.linspace(0, 1, 101), 2)


@dataclass(frozen=True)
class CurvePoint:
    """What one threshold gives; all shares, 0 to 1."""

    threshold: float
    precision: float
    recall: float
    f1: float


def threshold_curve(ranking: Ranking) -> list[CurvePoint]:
    """Precision, recall and F1 at the thresholds 0, 0.01, … as far as anything is predicted; at most 101 points."""
    return _points(ranking, _steps_up_to(ranking.confidences.max(initial=0.0)))


def precision_recall_curve(ranking: Ranking) -> list[CurvePoint]:
    """Precision over recall, the highest threshold first; at most 101 points.

    At each hundredth of recall it has the highest threshold that reaches it. Empty where there is nothing to find.
    """
    levels = ranking.levels
    recall = ranking.at(levels).recall
    if not recall.any():
        return []
    first = np.searchsorted(recall, _steps_up_to(recall[-1]))
    return _points(ranking, levels[np.unique(first)])


def _steps_up_to(highest: float) -> Floats:
    return _STEPS[: np.searchsorted(_STEPS, highest, side="right")]


def _points(ranking: Ranking, thresholds: Floats) -> list[CurvePoint]:
    counts = ranking.at(thresholds)
    columns = (thresholds, counts.precision, counts.recall, counts.f1)
    return [CurvePoint(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]
