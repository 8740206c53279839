"""The few figures that tell how good a model is, each with its interval and what it means."""

from collections.abc import Iterator
from dataclasses import dataclass

from sightsmith_training.engine.evaluation_result import DetectionEvaluation, Evaluation, Interval


@dataclass(frozen=True)
class HeadlineFigure:
    """One figure.

    Attributes:
        name: of the figure.
        value: 0 to 1; None if nothing is known of it.
        meaning: in words.
        interval: between which bounds it would lie for other images; None for figures without one.
    """

    name: str
    value: float | None
    meaning: str
    interval: Interval | None = None


def headline_figures(evaluation: Evaluation) -> Iterator[HeadlineFigure]:
    """The figures at the top of the page, the most telling first."""
    macro_f1 = HeadlineFigure(
        "macro-F1",
        evaluation.macro_f1,
        "harmonic mean of precision and recall, mean over the labels",
        evaluation.macro_f1_interval,
    )
    if evaluation.detection is None:
        yield macro_f1
        yield HeadlineFigure(
            "accuracy",
            evaluation.accuracy,
            "share of the images that are given exactly their labels",
            evaluation.accuracy_interval,
        )
    else:
        yield from _of_boxes(evaluation.detection)
        yield macro_f1
    yield HeadlineFigure(
        "precision", evaluation.macro_precision, "share of the predictions that are right, mean over the labels"
    )
    yield HeadlineFigure(
        "recall", evaluation.macro_recall, "share of what is there that was found, mean over the labels"
    )
    yield HeadlineFigure(
        "calibration error",
        evaluation.calibration_error,
        "how far a confidence is from the share of such predictions that are right; 0 is best",
    )


def _of_boxes(detection: DetectionEvaluation) -> Iterator[HeadlineFigure]:
    yield HeadlineFigure("mAP50", detection.map_50, "mean average precision at an IoU of 0.5", detection.map_interval)
    yield HeadlineFigure("mAP50-95", detection.map_50_95, "mean average precision over the IoUs 0.5, 0.55, … 0.95")
    yield HeadlineFigure("mAR", detection.average_recall, "mean recall over the same IoUs, without a threshold")
