"""Images that are there twice, or look the same: within a split, and where it matters most, across train and test."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sightsmith_labeling.datasets import Split
from sightsmith_labeling.splitting.near_duplicates import near_pairs

_NONE = -1
_FAR = 65

Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Look:
    """An image as it is compared.

    Attributes:
        dhash: difference hash of its thumbnail; None while that was not measured.
    """

    image: str
    sha256: str
    split: Split
    dhash: int | None


class SamePair(NamedTuple):
    """Two images that are the same or look so.

    Attributes:
        image: the one to look at: of a pair across the splits the test image, otherwise the later one.
        bits: bits by which their hashes differ; None if their bytes are the same.
    """

    image: Look
    other: Look
    bits: int | None

    @property
    def is_leak(self) -> bool:
        """Whether a model would be judged by what it has learnt."""
        return self.image.split is not self.other.split


def exact_duplicates(looks: Sequence[Look]) -> Iterator[SamePair]:
    """Images whose bytes are the same as those of another, each once."""
    first: dict[str, Look] = {}
    for look in sorted(looks, key=lambda look: look.split is Split.TEST):
        earlier = first.setdefault(look.sha256, look)
        if earlier is not look:
            yield SamePair(look, earlier, None)


def near_duplicates(looks: Sequence[Look], distance: int) -> Iterator[SamePair]:
    """Images that look like another, each with the one that it looks like most.

    An image can come twice: with an image of its own split that is before it, and, as a test image, with a training
    image. Pairs with the same bytes are left out, and pictures without any edge, which all have the same hash.

    Args:
        looks: the images, in the order in which they came.
        distance: greatest number of bits that may differ, 0 to 8.
    """
    hashed = [look for look in looks if look.dhash]
    hashes = np.array([look.dhash for look in hashed], np.uint64)
    is_test = np.array([look.split is Split.TEST for look in hashed], np.bool_)
    different, value_of = np.unique(hashes, return_inverse=True)
    first_of = {
        side: _first_places(value_of[is_test == side], np.flatnonzero(is_test == side), len(different))
        for side in (False, True)
    }
    nearest = {(of, among): _Nearest(len(different)) for of, among in ((False, False), (True, True), (True, False))}
    everywhere = np.arange(len(different))
    nearest[True, False].offer(everywhere, first_of[False], np.zeros_like(everywhere))
    for one, other, bits in near_pairs(different, distance):
        for here, there in ((one, other), (other, one)):
            for (of, among), best in nearest.items():
                partner = first_of[among][there]
                if of == among:
                    # Of two images of a split, the later one is told of.
                    partner = np.where(partner < first_of[of][here], partner, _NONE)
                best.offer(here, partner, bits)
    yield from _pairs(hashed, value_of, is_test, first_of, nearest)


class _Nearest:
    """For each hash the place of the image that looks like it most, and by how many bits they differ."""

    def __init__(self, count: int) -> None:
        self.place = np.full(count, _NONE)
        self.bits = np.full(count, _FAR)

    def offer(self, here: Places, partner: Places, bits: Places) -> None:
        """Takes partners that are nearer than those known; `_NONE` is none. No hash stands in `here` twice."""
        better = (partner != _NONE) & (bits < self.bits[here])
        self.place[here[better]] = partner[better]
        self.bits[here[better]] = bits[better]


def _first_places(values: Places, places: Places, count: int) -> Places:
    """The first place at which each value stands; `_NONE` where it stands nowhere."""
    first = np.full(count, _NONE)
    # Written from the last to the first, so that the first stays.
    first[values[::-1]] = places[::-1]
    return first


def _pairs(
    looks: Sequence[Look],
    value_of: Places,
    is_test: npt.NDArray[np.bool_],
    first_of: dict[bool, Places],
    nearest: dict[tuple[bool, bool], _Nearest],
) -> Iterator[SamePair]:
    for place, (look, value, side) in enumerate(zip(looks, value_of.tolist(), is_test.tolist(), strict=True)):
        first = int(first_of[side][value])
        own = nearest[side, side]
        partners = [(first, 0) if first != place else (int(own.place[value]), int(own.bits[value]))]
        if side:
            across = nearest[True, False]
            partners.append((int(across.place[value]), int(across.bits[value])))
        for partner, bits in partners:
            if partner != _NONE and looks[partner].sha256 != look.sha256:
                yield SamePair(look, looks[partner], bits)
