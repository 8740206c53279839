"""The confusion matrix as a table of coloured cells, small enough to be read."""

from dataclasses import dataclass

import numpy as np

from sightsmith_training.engine.judging.confusions import confusion_counts, confusion_shares
from sightsmith_training.engine.judging.detection_matches import DetectionMatches
from sightsmith_training.engine.reports.image_outcomes import Matches

_MOST_LABELS = 25


@dataclass(frozen=True)
class Cell:
    """How often the row's label was predicted as the column's; `share` of what carries the row's label, 0 to 1."""

    count: int
    share: float
    is_right: bool


@dataclass(frozen=True)
class Heatmap:
    """The confusion matrix.

    Attributes:
        labels: of the rows and the columns; the last one stands for nothing.
        rows: cells, row by row.
        left_out: how many labels, those with the fewest mistakes, have no row.
    """

    labels: list[str]
    rows: list[list[Cell]]
    left_out: int


def heatmap(matches: Matches) -> Heatmap:
    """The confusion matrix of the labels with the most mistakes."""
    counts, shares = confusion_counts(matches), confusion_shares(matches)
    mistakes = counts.sum(axis=0) + counts.sum(axis=1) - 2 * counts.diagonal()
    kept = np.sort(np.argsort(-mistakes[:-1], kind="stable")[:_MOST_LABELS]).tolist()
    nothing = "background" if isinstance(matches, DetectionMatches) else "nothing"
    places = [*kept, len(matches.labels)]
    return Heatmap(
        labels=[*(matches.labels[label] for label in kept), nothing],
        rows=[
            [Cell(int(counts[row, column]), float(shares[row, column]), row == column) for column in places]
            for row in places
        ],
        left_out=len(matches.labels) - len(kept),
    )
