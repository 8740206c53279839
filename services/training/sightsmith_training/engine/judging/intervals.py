"""Between which bounds the true figures lie, so that few test images do not look exact.

Two kinds of 95 % intervals are computed and the wider one is told. The percentile interval of the bootstrap over images
(Efron and Tibshirani, 1993, chapter 13) knows how mistakes gather on images, but finds no doubt in one right prediction
of one. Wilson's score interval (1927) does, but takes predictions for independent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from sightsmith_training.engine.judging.arrays import Floats
from sightsmith_training.engine.judging.counts import Counts, ratio
from sightsmith_training.engine.judging.detection_matches import DetectionMatches
from sightsmith_training.engine.judging.headlines import Accuracy, Headline, MacroF1, MeanAveragePrecision
from sightsmith_training.engine.judging.matches import ClassificationMatches
from sightsmith_training.engine.judging.resampling import (
    CONFIDENCE,
    RESAMPLES,
    affordable_draws,
    bootstrap,
    percentile_bounds,
)


@dataclass(frozen=True)
class Interval:
    """A figure and the bounds between which it would lie for most other test images. All are 0 to 1.

    Attributes:
        value: the figure.
        lower: bound at 95 % confidence.
        upper: bound at 95 % confidence.
        method: which of the two intervals was the wider one.
    """

    value: float
    lower: float
    upper: float
    method: Literal["bootstrap", "wilson"]


@dataclass(frozen=True)
class LabelIntervals:
    """Intervals of one label's figures."""

    label: str
    precision: Interval
    recall: Interval
    f1: Interval


@dataclass(frozen=True)
class ClassificationIntervals:
    """Intervals of a classifier's figures; `labels` in the order of the model."""

    accuracy: Interval
    macro_f1: Interval
    labels: list[LabelIntervals]


@dataclass(frozen=True)
class DetectionIntervals:
    """Intervals of a detector's figures.

    Attributes:
        mean_average_precision: at the IoU of the matches.
        macro_f1: at the same IoU and the thresholds.
        labels: in the order of the model.
    """

    mean_average_precision: Interval
    macro_f1: Interval
    labels: list[LabelIntervals]


def classification_intervals(
    matches: ClassificationMatches, seed: int, resamples: int = RESAMPLES
) -> ClassificationIntervals:
    """Intervals of a classifier's figures from at least one image."""
    counts = matches.counts
    right = np.array([matches.right.mean()]), np.array([float(len(matches.images))])
    return ClassificationIntervals(
        accuracy=_headline_interval(Accuracy.of(matches), *wilson(*right), seed, resamples),
        macro_f1=_macro_f1_interval(counts, seed, resamples),
        labels=_label_intervals(matches.labels, counts, seed, resamples),
    )


def detection_intervals(matches: DetectionMatches, seed: int, resamples: int = RESAMPLES) -> DetectionIntervals:
    """Intervals of a detector's figures from at least one image."""
    counts = matches.counts
    return DetectionIntervals(
        mean_average_precision=_mean_average_precision_interval(matches, seed, resamples),
        macro_f1=_macro_f1_interval(counts, seed, resamples),
        labels=_label_intervals(matches.labels, counts, seed, resamples),
    )


def wilson(shares: Floats, trials: Floats) -> tuple[Floats, Floats]:
    """Wilson's score interval of proportions (Journal of the American Statistical Association 22, 1927).

    Args:
        shares: the observed proportions, 0 to 1.
        trials: from how many trials each comes; from none nothing is known: 0 to 1.

    Returns:
        The lower and the upper bounds.
    """
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    weight = z**2 / (trials + z**2)
    centre = (1 - weight) * shares + weight / 2
    half = np.sqrt((1 - weight) * weight * shares * (1 - shares) + weight**2 / 4)
    return np.maximum(centre - half, 0), np.minimum(centre + half, 1)


def _macro_f1_interval(counts: Counts, seed: int, resamples: int) -> Interval:
    total = counts.total(axis=0)
    present = total.positives > 0
    f1, trials = total.f1[present], _claims(total)[present]
    return _headline_interval(MacroF1(counts), *_mean_bounds(f1, *_f1_bounds(f1, trials)), seed, resamples)


def _mean_average_precision_interval(matches: DetectionMatches, seed: int, resamples: int) -> Interval:
    headline = MeanAveragePrecision.of(matches)
    truths = headline.truths.sum(axis=0)
    present = truths > 0
    precision = headline.by_label(np.ones((1, headline.images)))[0, present]
    # A label's average precision is about a mean over its boxes of numbers from 0 to 1, which vary at most as much as
    # a proportion with the same mean: so Wilson's interval is, if anything, too wide.
    bounds = _mean_bounds(precision, *wilson(precision, truths[present]))
    return _headline_interval(headline, *bounds, seed, affordable_draws(resamples, len(headline.confidences)))


def _headline_interval(headline: Headline, lower: Floats, upper: Floats, seed: int, resamples: int) -> Interval:
    value = headline(np.ones((1, headline.images)))
    drawn = bootstrap(headline.for_draws, headline.images, seed, resamples)
    return _wider(value, drawn[:, None], lower, upper)[0]


def _label_intervals(labels: Sequence[str], counts: Counts, seed: int, resamples: int) -> list[LabelIntervals]:
    total = counts.total(axis=0)
    drawn = bootstrap(lambda weights: _known_figures(counts.weighted(weights)), len(counts.positives), seed, resamples)
    columns = [
        _wider(total.precision, drawn[:, 0], *wilson(total.precision, total.true_positives + total.false_positives)),
        _wider(total.recall, drawn[:, 1], *wilson(total.recall, total.positives)),
        _wider(total.f1, drawn[:, 2], *_f1_bounds(total.f1, _claims(total))),
    ]
    return [LabelIntervals(label, *intervals) for label, *intervals in zip(labels, *columns, strict=True)]


def _known_figures(counts: Counts) -> Floats:
    """Precision, recall and F1, NaN where a draw tells nothing of them; shape [draws, 3, labels]."""
    figures = np.stack((counts.precision, counts.recall, counts.f1), axis=1)
    trials = np.stack((counts.true_positives + counts.false_positives, counts.positives, _claims(counts)), axis=1)
    return np.where(trials > 0, figures, np.nan)


def _claims(counts: Counts) -> Floats:
    """How much is there or was predicted, or both."""
    return counts.positives + counts.false_positives


def _f1_bounds(f1: Floats, trials: Floats) -> tuple[Floats, Floats]:
    """Wilson's interval for F1, which is no proportion but rises with one: F* = TP / (TP + FP + FN) = F1 / (2 - F1).

    Source: Hand, Christen and Kirielle, "F*: an interpretable transformation of the F-measure" (2021).
    """
    lower, upper = wilson(f1 / (2 - f1), trials)
    return 2 * lower / (1 + lower), 2 * upper / (1 + upper)


def _mean_bounds(values: Floats, lower: Floats, upper: Floats) -> tuple[Floats, Floats]:
    """The bounds of a mean from those of its terms, by variance recovery (Zou and Donner, 2008); each of shape [1]."""
    terms = np.array([float(len(values))])
    mean = ratio(values.sum(keepdims=True), terms)
    below = ratio(np.sqrt(((values - lower) ** 2).sum(keepdims=True)), terms)
    above = ratio(np.sqrt(((upper - values) ** 2).sum(keepdims=True)), terms)
    if not len(values):
        return np.zeros(1), np.ones(1)
    return mean - below, mean + above


def _wider(values: Floats, drawn: Floats, lower: Floats, upper: Floats) -> list[Interval]:
    """The bootstrap's interval from `drawn` [draws, figures], or the given bounds [figures] where they are wider."""
    low, high = np.clip(percentile_bounds(values, drawn), 0, 1)
    by_bootstrap = high - low > upper - lower
    columns = values, np.where(by_bootstrap, low, lower), np.where(by_bootstrap, high, upper), by_bootstrap
    return [
        Interval(value, least, most, "bootstrap" if drawn_is_wider else "wilson")
        for value, least, most, drawn_is_wider in zip(*(column.tolist() for column in columns), strict=True)
    ]
