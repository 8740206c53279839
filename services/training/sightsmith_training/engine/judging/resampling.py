"""Judging again with other draws of the same images."""

from collections.abc import Callable, Iterator

import numpy as np

from sightsmith_training.engine.judging.arrays import Floats

RESAMPLES = 1000
"""Draws, where the images are not too many for that."""

CONFIDENCE = 0.95
"""Of all intervals."""

Statistic = Callable[[Floats], Floats]
"""From how often each image counts, shape [draws, images], to figures of shape [draws, …]."""

_FEWEST_RESAMPLES = 200
_NUMBERS_AT_MOST = 20_000_000  # Some seconds of one core.
_CELLS_AT_ONCE = 2_000_000  # Keeps the memory for the weights of many images at 16 MB.


def bootstrap(statistic: Statistic, images: int, seed: int, resamples: int = RESAMPLES) -> Floats:
    """Figures of as many images drawn with replacement (Efron, 1979), again and again.

    Args:
        statistic: called with several draws at once.
        images: how many there are, at least one.
        seed: decides the draws.
        resamples: how many draws.

    Returns:
        Shape [resamples, …].
    """
    random = np.random.default_rng(seed)
    return np.concatenate([statistic(_drawn(random, images, draws)) for draws in _portions(images, resamples)])


def at_random(statistic: Statistic, images: int, seed: int, resamples: int = RESAMPLES) -> Floats:
    """Figures of random halves: each image gets the weight 0 or 1 with equal chance.

    The arguments and the result are those of `bootstrap`.
    """
    random = np.random.default_rng(seed)
    return np.concatenate(
        [statistic(random.integers(0, 2, (draws, images)).astype(np.float64)) for draws in _portions(images, resamples)]
    )


def affordable_draws(resamples: int, numbers: int) -> int:
    """How many of so many draws to make where each means to add up so many numbers: for very many 200 must do."""
    return min(resamples, max(_FEWEST_RESAMPLES, _NUMBERS_AT_MOST // max(1, numbers)))


def percentile_bounds(values: Floats, drawn: Floats) -> Floats:
    """The percentile interval of the bootstrap (Efron and Tibshirani, 1993, chapter 13), moved to the figure.

    Draws contain some images several times and others never, which makes average precision and means over labels
    differ from the figure to one side. The interval is moved by as much as the mean of the draws is off.

    Args:
        values: the figures; shape [figures].
        drawn: the figures of the draws, NaN where a draw tells nothing; shape [draws, figures].

    Returns:
        Shape [2, figures]: lower and upper bounds, with the figure between them. They may be outside 0 to 1.
    """
    bounds = np.stack((values, values))
    known = ~np.isnan(drawn).all(axis=0)
    if not known.any():
        return bounds
    offset = values[known] - np.nanmean(drawn[:, known], axis=0)
    tails = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
    low, high = np.nanquantile(drawn[:, known], tails, axis=0) + offset
    bounds[:, known] = np.minimum(low, values[known]), np.maximum(high, values[known])
    return bounds


def _drawn(random: np.random.Generator, images: int, draws: int) -> Floats:
    drawn = random.integers(0, images, (draws, images)) + np.arange(draws)[:, None] * images
    return np.bincount(drawn.ravel(), minlength=draws * images).reshape(draws, images).astype(np.float64)


def _portions(images: int, resamples: int) -> Iterator[int]:
    size = max(1, _CELLS_AT_ONCE // images)
    for start in range(0, resamples, size):
        yield min(size, resamples - start)
