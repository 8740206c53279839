"""The few figures that tell how good a model is, each with its interval and what it means."""

from dataclasses import dataclass

from sightsmith_training.engine.judging.classification_metrics import ClassificationFigures, classification_figures
from sightsmith_training.engine.judging.detection_matches import DetectionMatches
from sightsmith_training.engine.judging.detection_metrics import DetectionFigures, detection_figures
from sightsmith_training.engine.judging.intervals import ClassificationIntervals, DetectionIntervals, Interval
from sightsmith_training.engine.judging.reliability import (
    Reliability,
    classification_reliability,
    detection_reliability,
)
from sightsmith_training.engine.reports.image_outcomes import Matches

Figures = ClassificationFigures | DetectionFigures
Intervals = ClassificationIntervals | DetectionIntervals

_METHODS = {"bootstrap": "bootstrap over the images", "wilson": "Wilson's score interval"}


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

    @property
    def method(self) -> str:
        """How the interval was made, in words."""
        return _METHODS[self.interval.method] if self.interval else ""


def figures_of(matches: Matches) -> Figures:
    """Every figure of a model."""
    return detection_figures(matches) if isinstance(matches, DetectionMatches) else classification_figures(matches)


def reliability_of(matches: Matches) -> Reliability:
    """How far the confidences of a model can be taken at their word."""
    if isinstance(matches, DetectionMatches):
        return detection_reliability(matches)
    return classification_reliability(matches)


def headline_figures(figures: Figures, intervals: Intervals, reliability: Reliability) -> list[HeadlineFigure]:
    """The figures at the top of the page, the most telling first.

    Raises:
        TypeError: if the intervals are of another task than the figures.
    """
    match figures, intervals:
        case DetectionFigures(), DetectionIntervals():
            own = _of_boxes(figures, intervals)
        case ClassificationFigures(), ClassificationIntervals():
            own = _of_images(intervals)
        case _:
            raise TypeError(f"{type(figures).__name__} with {type(intervals).__name__}")
    macro = figures.macro
    return [
        *own,
        HeadlineFigure("precision", macro.precision, "share of the predictions that are right, mean over the labels"),
        HeadlineFigure("recall", macro.recall, "share of what is there that was found, mean over the labels"),
        HeadlineFigure(
            "calibration error",
            reliability.calibration_error,
            "how far a confidence is from the share of such predictions that are right; 0 is best",
        ),
    ]


def _of_images(intervals: ClassificationIntervals) -> list[HeadlineFigure]:
    return [
        _macro_f1(intervals.macro_f1),
        HeadlineFigure(
            "accuracy",
            intervals.accuracy.value,
            "share of the images for which exactly the right labels were predicted",
            intervals.accuracy,
        ),
    ]


def _of_boxes(figures: DetectionFigures, intervals: DetectionIntervals) -> list[HeadlineFigure]:
    everything, iou = figures.coco["all"], figures.iou
    precision = intervals.mean_average_precision
    return [
        HeadlineFigure(
            f"mAP{iou * 100:.0f}", precision.value, f"mean average precision at an IoU of {iou:g}", precision
        ),
        _macro_f1(intervals.macro_f1),
        HeadlineFigure("mAP50-95", everything.ap50_95, "mean average precision over the IoUs 0.5, 0.55, … 0.95"),
        HeadlineFigure("mAR", everything.ar100, "mean recall over the same IoUs, without a threshold"),
    ]


def _macro_f1(interval: Interval) -> HeadlineFigure:
    meaning = "harmonic mean of precision and recall, mean over the labels"
    return HeadlineFigure("macro-F1", interval.value, meaning, interval)
