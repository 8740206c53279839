"""What the scores of images say about a classifier."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sightsmith_training.engine.evaluation import advice_on, bounds, label_evaluations, shares
from sightsmith_training.engine.evaluation_result import EvaluatedOn, Evaluation, ImagePrediction
from sightsmith_training.engine.judging.advice import TrainingFacts
from sightsmith_training.engine.judging.answers import LabelledImage
from sightsmith_training.engine.judging.classification_metrics import classification_figures, confusion_matrix
from sightsmith_training.engine.judging.confusions import confusion_counts
from sightsmith_training.engine.judging.intervals import classification_intervals
from sightsmith_training.engine.judging.matches import ClassificationMatches, match_labels
from sightsmith_training.engine.judging.reliability import classification_reliability
from sightsmith_training.engine.judging.thresholds import best_thresholds, worthwhile_thresholds
from sightsmith_training.engine.samples import Samples

Scores = npt.NDArray[np.floating]
"""Shape [images, labels], 0 to 1."""


@dataclass(frozen=True)
class Judged:
    """Some of the images, and how the model answers them.

    Attributes:
        samples: all images.
        rows: positions of those that are judged.
        scores: of those.
    """

    samples: Samples
    rows: Sequence[int]
    scores: Scores

    def matches(self, thresholds: Scores) -> ClassificationMatches:
        """Labels beside predictions, for thresholds of shape [labels]."""
        samples = self.samples
        images = [_labelled_image(samples, row) for row in self.rows]
        single = samples.activation == "softmax"
        return match_labels(images, samples.labels, self.scores, thresholds, single_label=single)


def choose_thresholds(out_of_fold: Judged) -> Scores:
    """The threshold of each label at which its F1 is best on images that the model did not learn from.

    Where an image has one label, the surest one is the answer; keeping back unsure answers has to be clearly better.
    """
    rankings = out_of_fold.matches(np.zeros(len(out_of_fold.samples.labels))).rankings
    if out_of_fold.samples.activation == "softmax":
        return worthwhile_thresholds(rankings)
    return best_thresholds(rankings)


def evaluate(matches: ClassificationMatches, evaluated_on: EvaluatedOn, training: TrainingFacts) -> Evaluation:
    """Computes every figure from one set of matches.

    Args:
        matches: of at least one image.
        evaluated_on: which images these are.
        training: what advice needs to know of the training.
    """
    figures, intervals = classification_figures(matches), classification_intervals(matches, seed=0)
    return Evaluation(
        evaluated_on=evaluated_on,
        cross_validated=training.cross_validated,
        training_images=training.all_images,
        accuracy=figures.accuracy,
        macro_precision=figures.macro.precision,
        macro_recall=figures.macro.recall,
        macro_f1=figures.macro.f1,
        micro=shares(figures.micro),
        per_label=label_evaluations(figures.labels, intervals.labels, training),
        confusion_matrix=_confusion(matches).tolist(),
        images=len(matches.images),
        mean_average_precision=figures.mean_average_precision,
        accuracy_interval=bounds(intervals.accuracy),
        macro_f1_interval=bounds(intervals.macro_f1),
        calibration_error=classification_reliability(matches).calibration_error,
        advice=advice_on(matches, intervals.macro_f1, training),
    )


def _confusion(matches: ClassificationMatches) -> npt.NDArray[np.int64]:
    return confusion_matrix(matches) if matches.single_label else confusion_counts(matches)


def describe_predictions(matches: ClassificationMatches) -> list[ImagePrediction]:
    """One prediction for each judged image."""
    return [
        ImagePrediction(
            image=image.image,
            source=image.source,
            width=image.width,
            height=image.height,
            true_labels=[matches.labels[label] for label in image.labels.tolist()],
            predicted_labels=[matches.labels[label] for label in np.argsort(-row) if predicted[label]],
            confidence=float(row.max()),
            scores=row.tolist(),
        )
        for image, row, predicted in zip(matches.images, matches.scores, matches.predicted, strict=True)
    ]


def _labelled_image(samples: Samples, row: int) -> LabelledImage:
    entry = samples.entries[row]
    return LabelledImage(
        image=entry.image,
        source=entry.source,
        width=entry.width,
        height=entry.height,
        labels=np.flatnonzero(samples.truth[row]),
        boxes=np.empty((0, 4)),
        box_labels=np.empty(0, np.intp),
    )
