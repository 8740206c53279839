"""Figures as the contract has them: what classifiers and detectors have in common."""

from collections.abc import Sequence

from sightsmith_training.engine.evaluation_result import Advice, Averages, Interval, LabelEvaluation
from sightsmith_training.engine.judging.advice import TrainingFacts, advise
from sightsmith_training.engine.judging.classification_metrics import LabelFigures
from sightsmith_training.engine.judging.detection_matches import DetectionMatches
from sightsmith_training.engine.judging.detection_metrics import DetectedLabelFigures
from sightsmith_training.engine.judging.figures import Averages as JudgedAverages
from sightsmith_training.engine.judging.intervals import Interval as JudgedInterval
from sightsmith_training.engine.judging.intervals import LabelIntervals
from sightsmith_training.engine.judging.matches import ClassificationMatches

_MOST_IMAGES = 100  # of a piece of advice: more than anybody looks at, and few enough for lists of evaluations.


def bounds(interval: JudgedInterval) -> Interval:
    """The bounds of an interval, without its figure."""
    return Interval(lower=interval.lower, upper=interval.upper)


def shares(averages: JudgedAverages) -> Averages:
    """Averages over labels."""
    return Averages(precision=averages.precision, recall=averages.recall, f1=averages.f1)


def advice_on(
    matches: ClassificationMatches | DetectionMatches, headline: JudgedInterval, training: TrainingFacts
) -> list[Advice]:
    """What would help, with the first images that show why; see `advise`."""
    return [
        Advice(
            code=piece.code,
            text=piece.text,
            labels=list(piece.labels),
            images=list(piece.images[:_MOST_IMAGES]),
            image_count=len(piece.images),
        )
        for piece in advise(matches, headline, training)
    ]


def label_evaluations(
    figures: Sequence[LabelFigures | DetectedLabelFigures],
    intervals: Sequence[LabelIntervals],
    training: TrainingFacts,
) -> list[LabelEvaluation]:
    """Figures of each label, with how sure they are."""
    return [_label_evaluation(*of_label) for of_label in zip(figures, intervals, training.images, strict=True)]


def _label_evaluation(
    figures: LabelFigures | DetectedLabelFigures, intervals: LabelIntervals, training_images: int
) -> LabelEvaluation:
    average_precision, true_negatives = _of_kind(figures)
    return LabelEvaluation(
        label=figures.label,
        precision=figures.precision,
        recall=figures.recall,
        f1=figures.f1,
        images=figures.images,
        threshold=figures.threshold,
        true_positives=figures.true_positives,
        false_positives=figures.false_positives,
        false_negatives=figures.false_negatives,
        true_negatives=true_negatives,
        average_precision=average_precision,
        precision_interval=bounds(intervals.precision),
        recall_interval=bounds(intervals.recall),
        f1_interval=bounds(intervals.f1),
        training_images=training_images,
    )


def _of_kind(figures: LabelFigures | DetectedLabelFigures) -> tuple[float | None, int | None]:
    """Average precision, and how often the label is rightly not predicted, which cannot be told of boxes."""
    if isinstance(figures, DetectedLabelFigures):
        return figures.coco.ap50, None
    return figures.average_precision, figures.true_negatives
