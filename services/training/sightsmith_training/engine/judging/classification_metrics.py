"""How good a classifier is."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sightsmith_training.engine.judging.figures import Averages, macro_averages, mean_or_none, micro_averages
from sightsmith_training.engine.judging.matches import ClassificationMatches
from sightsmith_training.engine.judging.rankings import Ranking


@dataclass(frozen=True)
class LabelFigures:
    """One label's figures, at its threshold except for `average_precision`. Shares are 0 to 1.

    Attributes:
        label: its name.
        threshold: the lowest score at which it is predicted.
        precision: share of its predictions that are right; 0 where there are none.
        recall: share of its images on which it is predicted; 0 where there are none.
        f1: harmonic mean of the two.
        true_positives: images that carry it and on which it is predicted.
        false_positives: images that do not carry it and on which it is predicted.
        false_negatives: images that carry it and on which it is not predicted.
        true_negatives: images that do not carry it and on which it is not predicted.
        images: how many of the judged images carry it.
        average_precision: as scikit-learn has it, from the scores of all images; None where no image carries it.
    """

    label: str
    threshold: float
    precision: float
    recall: float
    f1: float
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int
    images: int
    average_precision: float | None


@dataclass(frozen=True)
class ClassificationFigures:
    """How good a classifier is on some images.

    Attributes:
        accuracy: share of the images for which exactly their labels are predicted.
        macro: means over the labels that have images here.
        micro: of all predictions together.
        mean_average_precision: mean over the same labels as `macro`; None where there are none.
        labels: in the order of the model.
    """

    accuracy: float
    macro: Averages
    micro: Averages
    mean_average_precision: float | None
    labels: list[LabelFigures]


def classification_figures(matches: ClassificationMatches) -> ClassificationFigures:
    """Computes every figure of a classifier; at least one image."""
    counts = matches.counts.total(axis=0)
    precision, recall, f1 = counts.precision, counts.recall, counts.f1
    neither = len(matches.images) - counts.positives - counts.false_positives
    labels = [
        LabelFigures(
            label=name,
            threshold=float(matches.thresholds[label]),
            precision=float(precision[label]),
            recall=float(recall[label]),
            f1=float(f1[label]),
            true_positives=int(counts.true_positives[label]),
            false_positives=int(counts.false_positives[label]),
            false_negatives=int(counts.false_negatives[label]),
            true_negatives=int(neither[label]),
            images=int(counts.positives[label]),
            average_precision=_average_precision(matches, label),
        )
        for label, name in enumerate(matches.labels)
    ]
    known = [label.average_precision for label in labels if label.average_precision is not None]
    return ClassificationFigures(
        accuracy=float(matches.right.mean()),
        macro=macro_averages(counts),
        micro=micro_averages(counts),
        mean_average_precision=mean_or_none(np.array(known)),
        labels=labels,
    )


def confusion_matrix(matches: ClassificationMatches) -> npt.NDArray[np.int64]:
    """How images of each label (rows) are predicted (columns), for a classifier of one label an image.

    The last row stands for images without a label, the last column for images of which nothing is predicted.
    Shape [labels + 1, labels + 1].
    """
    truth, predicted = (_label_or_nothing(flags) for flags in (matches.truth, matches.predicted))
    matrix = np.zeros((len(matches.labels) + 1,) * 2, dtype=np.int64)
    np.add.at(matrix, (truth, predicted), 1)
    return matrix


def _average_precision(matches: ClassificationMatches, label: int) -> float | None:
    truth = matches.truth[:, label]
    return Ranking.of(matches.scores[:, label], truth, int(truth.sum())).average_precision


def _label_or_nothing(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    return np.asarray(np.where(flags.any(axis=1), flags.argmax(axis=1), flags.shape[1]))
