"""The pictures of the report: which figures are drawn, and how."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from sightsmith_training.engine.evaluation_result import LearningPoint
from sightsmith_training.engine.judging.curves import precision_recall_curve, threshold_curve
from sightsmith_training.engine.judging.learning_curve import LearningCurve
from sightsmith_training.engine.judging.rankings import Ranking
from sightsmith_training.engine.judging.reliability import Reliability
from sightsmith_training.engine.reports.charts import Axis, Plot
from sightsmith_training.engine.reports.words import percent

_ROOM = 1.15  # for words beside the slowest candidate
_QUICK = 0.1  # milliseconds; an axis needs a length


@dataclass(frozen=True)
class TriedCandidate:
    """A design that was tried.

    Attributes:
        name: of the design.
        score: by which it was compared, 0 to 1.
        milliseconds: to predict one image; None if that was not measured.
        is_chosen: whether it became the model.
        dropped: why it did not, in words.
    """

    name: str
    score: float
    milliseconds: float | None
    is_chosen: bool
    dropped: str = ""


_Timed = tuple[float, TriedCandidate]


def precision_recall_picture(label: str, ranking: Ranking, threshold: float) -> Markup:
    """Precision over recall, with a dot at the label's threshold."""
    plot = Plot(Axis("recall"), Axis("precision"))
    counts = ranking.at(np.array([threshold]))
    now = float(counts.recall[0]), float(counts.precision[0])
    curve = [(point.recall, point.precision) for point in precision_recall_curve(ranking)]
    return plot.picture(
        f"Precision over recall of {label}",
        plot.line(curve, "line one"),
        plot.dots(
            [(*now, f"at the threshold {threshold:.2f}: precision {now[1]:.2f}, recall {now[0]:.2f}")], "dot one"
        ),
    )


def threshold_picture(label: str, ranking: Ranking, threshold: float) -> Markup:
    """Precision, recall and F1 over the threshold, with a line at the label's own."""
    plot = Plot(Axis("threshold"), Axis("share"))
    curve = threshold_curve(ranking)
    return plot.picture(
        f"Precision, recall and F1 of {label} over the threshold",
        plot.line([(threshold, 0), (threshold, 1)], "line now"),
        plot.line([(point.threshold, point.precision) for point in curve], "line one"),
        plot.line([(point.threshold, point.recall) for point in curve], "line two"),
        plot.line([(point.threshold, point.f1) for point in curve], "line three"),
    )


def reliability_picture(reliability: Reliability) -> Markup:
    """How often predictions are right, by how sure the model was of them."""
    plot = Plot(Axis("confidence"), Axis("share that is right"))
    bins = [one for one in reliability.bins if one.count]
    bars = [
        (
            one.lower,
            one.upper,
            one.accuracy,
            f"{one.count} predictions, sure to {percent(one.confidence)}, right in {percent(one.accuracy)}",
        )
        for one in bins
    ]
    return plot.picture(
        "How often predictions are right, by how sure the model is of them",
        plot.bars(bars, "bar"),
        plot.line([(0, 0), (1, 1)], "line now"),
        plot.dots(
            [(one.confidence, one.accuracy, words) for one, (*_, words) in zip(bins, bars, strict=True)], "dot one"
        ),
    )


def learning_picture(points: Sequence[LearningPoint], curve: LearningCurve | None, score: str) -> Markup:
    """Scores over the number of training images, and where they lead to with twice as many."""
    most = 2 * max(point.images for point in points)
    bounds = [(point.images, point.interval) for point in points if point.interval]
    lowest = min([*(point.score for point in points), *(interval.lower for _, interval in bounds)])
    plot = Plot(Axis("training images", 0, most), _score_axis(score, lowest))
    fewest = min(point.images for point in points)
    steps = [fewest + (most - fewest) * step / 40 for step in range(41)]
    fitted = plot.line([(images, curve.score_at(images)) for images in steps], "line now") if curve else Markup("")
    dots = [(point.images, point.score, f"{point.images} images: {point.score:.3f}") for point in points]
    spans = [plot.line([(images, span.lower), (images, span.upper)], "line one") for images, span in bounds]
    return plot.picture(f"{score} over the number of training images", fitted, *spans, plot.dots(dots, "dot one"))


def candidates_picture(candidates: Sequence[TriedCandidate], score: str) -> Markup:
    """Scores over the time for an image; a line joins, and words name, those than which none is better and faster.

    At least one candidate's time was measured.
    """
    timed = sorted(
        ((one.milliseconds, one) for one in candidates if one.milliseconds is not None),
        key=lambda pair: (pair[0], -pair[1].score),
    )
    across = Axis("milliseconds per image", 0, _ROOM * max(timed[-1][0], _QUICK))
    plot = Plot(across, _score_axis(score, min(one.score for _, one in timed)))
    front = list(_front(timed))
    return plot.picture(
        f"{score} over the time for one image, of every candidate",
        plot.line([(ms, one.score) for ms, one in front], "line now"),
        plot.dots(((ms, one.score, _told(one, ms)) for ms, one in timed if not one.is_chosen), "dot one"),
        plot.dots(((ms, one.score, _told(one, ms)) for ms, one in timed if one.is_chosen), "dot two", 6),
        *(plot.words(ms, one.score, one.name) for ms, one in front if not one.is_chosen),
        *(plot.words(ms, one.score, f"★ {one.name}") for ms, one in timed if one.is_chosen),
    )


def _front(timed: Sequence[_Timed]) -> Iterator[_Timed]:
    """Of candidates, the quickest first, those that are better than every quicker one."""
    best = -math.inf
    for ms, one in timed:
        if one.score > best:
            best = one.score
            yield ms, one


def _told(one: TriedCandidate, milliseconds: float) -> str:
    return f"{one.name}: {one.score:.3f}, {milliseconds:.1f} ms{', chosen' if one.is_chosen else ''}"


def _score_axis(title: str, lowest: float) -> Axis:
    """From a round number below the lowest score to 1."""
    return Axis(title, min(max(math.floor(lowest * 10) / 10, 0.0), 0.9), 1.0)
