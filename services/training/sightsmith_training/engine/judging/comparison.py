"""Which of two models is better, and whether the test images can show it."""

from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from scipy.special import bdtr

from sightsmith.counting import counted
from sightsmith_training.engine.judging.arrays import Flags
from sightsmith_training.engine.judging.detection_matches import DetectionMatches
from sightsmith_training.engine.judging.headlines import Accuracy, Headline, MacroF1, MeanAveragePrecision
from sightsmith_training.engine.judging.matches import ClassificationMatches
from sightsmith_training.engine.judging.resampling import (
    RESAMPLES,
    affordable_draws,
    at_random,
    bootstrap,
    percentile_bounds,
)

Figure = Literal["accuracy", "macro-F1"]

_Figure = TypeVar("_Figure", bound=Headline)

_SIGNIFICANT = 0.05
_ROUNDING = 1e-12  # Equal differences, added up in another order, may differ by this much.


@dataclass(frozen=True)
class Comparison:
    """How a second model compares with a first one on the same images.

    Attributes:
        figure: what is compared, such as "macro-F1".
        first: the first model's figure, 0 to 1.
        second: the second model's figure, 0 to 1.
        difference: `second - first`.
        lower: bound of the difference at 95 % confidence.
        upper: bound of the difference at 95 % confidence.
        p_value: how often chance alone would make at least this difference between equally good models.
        mcnemar_p_value: the same from the images that only one model gets right; None unless each image has one label.
        significant: whether the difference can be more than chance.
        statement: in plain words.
    """

    figure: str
    first: float
    second: float
    difference: float
    lower: float
    upper: float
    p_value: float
    mcnemar_p_value: float | None
    significant: bool
    statement: str


def compare_classifiers(
    names: tuple[str, str],
    first: ClassificationMatches,
    second: ClassificationMatches,
    seed: int,
    figure: Figure = "macro-F1",
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compares two classifiers by a figure.

    Args:
        names: of the models, for the statement.
        first: of the first model.
        second: of the second model, for the same images in the same order and the same labels.
        seed: decides the resampling.
        figure: what is compared.
        resamples: how often the images are drawn.

    Raises:
        ValueError: if the images or the labels differ.
    """
    _check_same(first, second)
    mcnemar = mcnemar_p_value(first.right, second.right) if first.single_label and second.single_label else None
    if figure == "accuracy":
        return _compare(names, Accuracy.of(first), Accuracy.of(second), mcnemar, seed, resamples)
    return _compare(names, MacroF1.of(first), MacroF1.of(second), mcnemar, seed, resamples)


def compare_detectors(
    names: tuple[str, str],
    first: DetectionMatches,
    second: DetectionMatches,
    seed: int,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compares two detectors by their mean average precision at the IoU of the matches.

    The arguments and errors are those of `compare_classifiers`.
    """
    _check_same(first, second)
    if first.iou != second.iou:
        raise ValueError(f"matched at different IoUs: {first.iou} and {second.iou}")
    old, new = MeanAveragePrecision.of(first), MeanAveragePrecision.of(second)
    draws = affordable_draws(resamples, len(old.confidences) + len(new.confidences))
    return _compare(names, old, new, None, seed, draws)


def mcnemar_p_value(first_right: Flags, second_right: Flags) -> float:
    """McNemar's test in its exact form: two-sided, from the images that only one of two models gets right.

    Source: McNemar (1947); Dietterich, "Approximate statistical tests" (1998), §3.1, for its use on classifiers.
    """
    only_first = int((first_right & ~second_right).sum())
    only_second = int((second_right & ~first_right).sum())
    # Twice the smaller tail of the binomial distribution, which is symmetric for equally good models; where both are
    # right as often, the tails overlap. Not by scipy.stats, which takes most of a second to load.
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), only_first + only_second, 0.5)))


def _compare(
    names: tuple[str, str], first: _Figure, second: _Figure, mcnemar: float | None, seed: int, resamples: int
) -> Comparison:
    everything = np.ones((1, first.images))
    values = float(first(everything)[0]), float(second(everything)[0])
    difference = values[1] - values[0]
    old, new = first.for_draws, second.for_draws
    drawn = bootstrap(lambda weights: new(weights) - old(weights), first.images, seed, resamples)
    lower, upper = percentile_bounds(np.array([difference]), drawn[:, None])[:, 0].tolist()
    p_value = _randomisation_p_value(first, second, difference, seed, resamples)
    significant = p_value < _SIGNIFICANT and not lower <= 0 <= upper
    return Comparison(
        figure=first.name,
        first=values[0],
        second=values[1],
        difference=difference,
        lower=lower,
        upper=upper,
        p_value=p_value,
        mcnemar_p_value=mcnemar,
        significant=significant,
        statement=_statement(names, first, difference, (lower, upper), significant),
    )


def _randomisation_p_value(first: _Figure, second: _Figure, difference: float, seed: int, resamples: int) -> float:
    """How often models that swap their answers on a random half of the images differ at least as much.

    Unlike the bootstrap this is right for few images too. Source: Yeh, "More accurate tests for the statistical
    significance of result differences" (2000), §2; Noreen (1989) for the 1 that is added.
    """
    both = first.beside(second).for_draws
    differences = at_random(
        lambda half: both(np.hstack((1 - half, half))) - both(np.hstack((half, 1 - half))),
        first.images,
        seed,
        resamples,
    )
    as_large = int((np.abs(differences) >= abs(difference) - _ROUNDING).sum())
    return (as_large + 1) / (resamples + 1)


def _statement(
    names: tuple[str, str], figure: Headline, difference: float, bounds: tuple[float, float], significant: bool
) -> str:
    measured = f"{figure.name} {difference:+.3f}, 95 % interval {bounds[0]:+.3f} to {bounds[1]:+.3f}"
    if not significant:
        shown_with = counted(figure.images, "image")
        return f"no difference between {names[0]} and {names[1]} can be shown with {shown_with}: {measured}"
    return f"{names[1]} is {'better' if difference > 0 else 'worse'} than {names[0]}: {measured}"


def _check_same(
    first: ClassificationMatches | DetectionMatches, second: ClassificationMatches | DetectionMatches
) -> None:
    if [image.image for image in first.images] != [image.image for image in second.images]:
        raise ValueError("models can only be compared on the same images in the same order")
    if first.labels != second.labels:
        raise ValueError("models can only be compared on the same labels")
