"""Figures as the contract has them: what classifiers and detectors have in common."""

from collections.abc import Sequence

from sightsmith_training.engine.evaluation_result import Advice, Interval, LabelEvaluation
from sightsmith_training.engine.judging.advice import TrainingFacts, advise
from sightsmith_training.engine.judging.classification_metrics import LabelFigures
from sightsmith_training.engine.judging.detection_matches import DetectionMatches
from sightsmith_training.engine.judging.detection_metrics import DetectedLabelFigures
from sightsmith_training.engine.judging.intervals import Interval as JudgedInterval
from sightsmith_training.engine.judging.intervals import LabelIntervals
from sightsmith_training.engine.judging.matches import ClassificationMatches


def bounds(interval: JudgedInterval) -> Interval:
    """The bounds of an interval, without its figure."""
    return Interval(lower=interval.lower, upper=interval.upper)


def advice_on(
    matches: ClassificationMatches | DetectionMatches, headline: JudgedInterval, training: TrainingFacts
) -> list[Advice]:
    """What would help; see `advise`."""
    return [
        Advice(code=piece.code, text=piece.text, labels=list(piece.labels), images=list(piece.images))
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
    average_precision = figures.coco.ap50 if isinstance(figures, DetectedLabelFigures) else figures.average_precision
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
        average_precision=average_precision,
        precision_interval=bounds(intervals.precision),
        recall_interval=bounds(intervals.recall),
        f1_interval=bounds(intervals.f1),
        training_images=training_images,
    )
