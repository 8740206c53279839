"""What was taken for what, in one table for classifiers of one label, of several labels, and detectors."""

import numpy as np
import numpy.typing as npt

from sightsmith_training.engine.judging.counts import ratio
from sightsmith_training.engine.judging.detection_matches import DetectionMatches
from sightsmith_training.engine.judging.matches import ClassificationMatches
from sightsmith_training.engine.judging.mistakes import find_mistakes

Matches = ClassificationMatches | DetectionMatches


def confusion_counts(matches: Matches) -> npt.NDArray[np.int64]:
    """How often each label (row) was predicted as each label (column), in images or in boxes.

    The last row counts what was predicted and is not there, the last column what is there and was missed. Where an
    image has several labels, one that is missed counts as taken for each that is wrongly predicted. Nothing that was
    rightly found to be nothing is counted. Shape [labels + 1, labels + 1].
    """
    nothing = len(matches.labels)
    counts = np.diag(np.append(matches.counts.total(axis=0).true_positives, 0)).astype(np.int64)
    for mistake in find_mistakes(matches):
        row = nothing if mistake.labelled is None else mistake.labelled
        column = nothing if mistake.predicted is None else mistake.predicted
        counts[row, column] += 1
    return counts


def confusion_shares(matches: Matches) -> npt.NDArray[np.float64]:
    """The counts as shares, 0 to 1, of what carries the row's label; a row without any is 0.

    Shape [labels + 1, labels + 1]; the last row is a share of everything that is not there and was predicted.
    """
    counts = confusion_counts(matches)
    there = np.append(matches.counts.total(axis=0).positives, counts[-1].sum())
    return ratio(counts.astype(np.float64), there[:, None])
