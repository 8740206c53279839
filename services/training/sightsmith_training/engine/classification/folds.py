"""How training images are divided for cross-validation."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sightsmith_training.engine.classification.truth import Rows, Truth

MAX_FOLDS = 5
"""Of a repetition."""

_FEW_IMAGES = 1000
_REPETITIONS_OF_FEW, _REPETITIONS_OF_MANY = 3, 1


@dataclass(frozen=True)
class Fold:
    """Positions of the images to learn from and of those to test on, in one repetition of the cross-validation."""

    repetition: int
    learn: Rows
    test: Rows


def plan_folds(truth: Truth, seed: int, groups: npt.NDArray[np.intp] | None = None) -> list[Fold]:
    """Divides images as evenly as their labels allow; the same for every candidate, so that they compare fairly.

    Into five folds, unless there are fewer groups; few images are divided several times over. A label with fewer groups
    than folds is missing from some of these: to divide by two for its sake would halve what is learned of all others.

    Args:
        truth: shape [images, labels]; at least two images or groups.
        seed: decides what labels leave open.
        groups: shape [images]; images of one number (near duplicates) stay on one side. None: every image by itself.

    Returns:
        Every fold of every repetition. In each repetition every image is tested exactly once.
    """
    repetitions = _REPETITIONS_OF_FEW if len(truth) <= _FEW_IMAGES else _REPETITIONS_OF_MANY
    return [
        fold
        for repetition in range(repetitions)
        for fold in _folds(repetition, stratify_images(truth, MAX_FOLDS, seed + repetition, groups))
    ]


def _folds(repetition: int, places: Rows) -> Iterator[Fold]:
    for fold in np.unique(places):
        yield Fold(repetition, np.flatnonzero(places != fold), np.flatnonzero(places == fold))


def stratify_images(truth: Truth, folds: int, seed: int, groups: npt.NDArray[np.intp] | None = None) -> Rows:
    """Divides images so that each fold has about its share of every label, and groups stay together.

    Args:
        truth: shape [images, labels].
        folds: at least one; where there are fewer groups, as many as groups.
        seed: as for `stratify`.
        groups: shape [images]; images of one number stay in one fold. None: every image by itself.

    Returns:
        The fold of each image, shape [images].
    """
    units = np.arange(len(truth)) if groups is None else np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(units).astype(np.float64)
    counts = np.zeros((len(sizes), truth.shape[1]))
    np.add.at(counts, units, truth)
    return stratify(counts, sizes, min(folds, len(sizes)), seed)[units]


def stratify(
    counts: npt.NDArray[np.float64], sizes: npt.NDArray[np.float64], folds: int, seed: int
) -> npt.NDArray[np.intp]:
    """Divides units so that each fold has about its share of every label.

    Iterative stratification: Sechidis, Tsoumakas, Vlahavas, "On the Stratification of Multi-Label Data" (2011), figure
    1. The label with the fewest units left goes first, because later there would be no freedom for it.

    Args:
        counts: shape [units, labels]; how many images of the unit carry the label.
        sizes: shape [units]; images of the unit.
        folds: at least one.
        seed: decides the order of the units and what is still even.

    Returns:
        The fold of each unit, shape [units].
    """
    random = np.random.default_rng(seed)
    wanted = np.tile(counts.sum(axis=0) / folds, (folds, 1))
    room = np.full(folds, sizes.sum() / folds)
    places = np.full(len(counts), -1)

    def place(unit: int, wishes: npt.NDArray[np.float64]) -> None:
        # The greatest wish, then the most room, then chance.
        fold = np.lexsort((random.random(folds), room.round(9), wishes.round(9)))[-1]
        places[unit] = fold
        wanted[fold] -= counts[unit]
        room[fold] -= sizes[unit]

    waiting = random.permutation(len(counts))
    while len(waiting):
        carriers = (counts[waiting] > 0).sum(axis=0)
        if not carriers.any():
            break
        label = int(np.where(carriers > 0, carriers, len(counts) + 1).argmin())
        chosen = counts[waiting, label] > 0
        # The big ones first: the small ones can still even out what they leave.
        for unit in sorted(waiting[chosen], key=lambda unit: -counts[unit, label]):
            place(unit, wanted[:, label])
        waiting = waiting[~chosen]
    for unit in sorted(waiting, key=lambda unit: -sizes[unit]):
        place(unit, room)
    return places
