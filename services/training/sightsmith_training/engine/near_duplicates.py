"""Training images that show nearly the same: no candidate may be judged by a copy of what it learned from."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from threadpoolctl import threadpool_limits

from sightsmith_training.engine.classification.truth import Rows, Truth
from sightsmith_training.engine.heads import Features
from sightsmith_training.engine.progress import part_of
from sightsmith_training.engine.samples import Pixels

Groups = npt.NDArray[np.intp]
"""Shape [images]; images of one number stay together."""

_Codes = npt.NDArray[np.uint64]
"""Shape [images, words], a bit for each plane."""

_BITS = 256
# Of 274 photographs no two differ in fewer than 48 bits of their features; half of their copies at 0.7 of the size and
# a JPEG quality of 60 do, and nearly all that lack 3 % at each edge. Of thumbnails no two differ in fewer than 14 bits,
# but all of the former copies do.
_MOST_BITS_OF_FEATURES, _MOST_BITS_OF_THUMBNAILS = 36, 12
_NEIGHBOURS = 32  # In each order, with which an image is compared: bounds the time.
_ROWS_AT_ONCE = 4096
_THUMBNAIL_SIDE = 16
_LARGEST_SHARE = 1 / 3  # Of all images, in one group: with more, folds would have little in common.
_PART_OF_ALL, _PART_OF_GROUP = 1 / 10, 1 / 5  # A part of such a group is no larger: five folds have their share.


@dataclass(frozen=True)
class NearDuplicates:
    """What has to stay on one side of every division.

    Attributes:
        groups: of the images.
        divided: how many images are parted from others like them, because there would be nothing to divide otherwise.
    """

    groups: Groups
    divided: int

    @property
    def limits(self) -> list[str]:
        """What the training had to do without, for people."""
        if not self.divided:
            return []
        return [
            f"{self.divided} training images look so much alike that candidates could not be judged without dividing "
            "them: figures out of fold may be too good. Add images that were taken elsewhere or at another time"
        ]


def find_near_duplicates(
    sha256s: Sequence[str],
    truth: Truth,
    features: Features | None = None,
    pixels: Pixels | None = None,
    advance: Callable[[float], None] = lambda share: None,
) -> NearDuplicates:
    """Groups images whose features or thumbnails point the same way, seen from the middle of them all, or equal bytes.

    What all images have in common, such as what a fixed camera sees, makes none of them alike. Groups join: images that
    are each like the next one, as in a film, are one group. A group that would leave nothing to divide, as it has a
    large share of the images or all images of a label, is divided into compact parts, as a film into its scenes: few
    images then have their like on another side. What cannot be parted so, because it is all the same, keeps together
    images of equal bytes alone, if even these.

    Args:
        sha256s: of the images' bytes.
        truth: shape [images, labels].
        features: of the images, if they are known; cropped copies have like features.
        pixels: of the images, if they are at hand, shape [images, side, side, 3], the side 16 or more; copies of
            another size or quality look alike in thumbnails.
        advance: called with the share of the work that is done.
    """
    equal = _first_of_equals(np.asarray(sha256s))
    pairs: list[tuple[Rows, Rows]] = []
    codes = np.empty((len(equal), 0), np.uint64)
    if features is not None:
        codes = _codes(features)
        pairs += _alike(codes, _MOST_BITS_OF_FEATURES, part_of(advance, 0.0, 0.3))
    if pixels is not None:
        of_thumbnails = _codes(_thumbnails(pixels, part_of(advance, 0.3, 0.7)))
        pairs += _alike(of_thumbnails, _MOST_BITS_OF_THUMBNAILS, part_of(advance, 0.7, 1.0))
        codes = np.hstack([codes, of_thumbnails])
    near = _joined(equal, pairs)
    groups = _divided(near, truth, codes[equal], equal)
    parted = np.bincount(near)[near] > np.bincount(groups)[groups]
    return NearDuplicates(groups, int(parted.sum()))


def _thumbnails(pixels: Pixels, advance: Callable[[float], None]) -> Features:
    """Tiny copies as vectors, shape [images, numbers]."""
    edges = np.linspace(0, pixels.shape[1], _THUMBNAIL_SIDE, endpoint=False).astype(int)
    small = np.empty((len(pixels), _THUMBNAIL_SIDE, _THUMBNAIL_SIDE, 3), np.float32)
    for row, image in enumerate(pixels):
        small[row] = np.add.reduceat(np.add.reduceat(image, edges, axis=0, dtype=np.float32), edges, axis=1)
        advance((row + 1) / len(pixels))
    return small.reshape(len(pixels), -1)


def _codes(vectors: Features) -> _Codes:
    """On which sides of random planes through their middle the vectors lie; shape [images, 4], a bit for each plane.

    Two codes differ in a bit as often as the angle between the vectors is a share of half a turn (Charikar, "Similarity
    Estimation Techniques from Rounding Algorithms", 2002, section 3).
    """
    planes = np.random.default_rng(0).standard_normal((vectors.shape[1], _BITS), np.float32)
    codes = np.empty((len(vectors), _BITS // 64), np.uint64)
    with threadpool_limits(limits=1, user_api="blas"):  # The sums must not depend on the number of cores.
        middle = vectors.mean(axis=0, dtype=np.float64).astype(np.float32) @ planes
        for start in range(0, len(vectors), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            codes[rows] = np.packbits(vectors[rows] @ planes > middle, axis=1).view(np.uint64)
    return codes


def _alike(codes: _Codes, most_bits: int, advance: Callable[[float], None]) -> Iterator[tuple[Rows, Rows]]:
    """Pairs of images whose codes differ in so few bits.

    Codes are put in order by one piece of them after the other, and each is compared with those that follow: where
    codes differ little, one of their pieces nearly always begins alike (the sorted neighbourhood of Hernández and
    Stolfo, "The Merge/Purge Problem for Large Databases", 1995, section 2.4).
    """
    pieces = codes.astype(">u8").view(">u2")
    for start in range(pieces.shape[1]):
        beginnings = np.roll(pieces, -start, axis=1)[:, :4].copy().view(">u8")[:, 0]
        order = np.argsort(beginnings, kind="stable")
        for distance in range(1, min(_NEIGHBOURS, len(order) - 1) + 1):
            some, others = order[:-distance], order[distance:]
            near = np.bitwise_count(codes[some] ^ codes[others]).sum(axis=1) <= most_bits
            yield some[near], others[near]
        advance((start + 1) / pieces.shape[1])


def _joined(equal: Groups, pairs: Sequence[tuple[Rows, Rows]]) -> Groups:
    some = np.concatenate([np.arange(len(equal)), *(pair[0] for pair in pairs)])
    others = np.concatenate([equal, *(pair[1] for pair in pairs)])
    graph = coo_array((np.ones(len(some), np.bool_), (some, others)), shape=(len(equal), len(equal)))
    return np.asarray(connected_components(graph, directed=False)[1], np.intp)


def _first_of_equals(names: npt.NDArray[Any]) -> Rows:
    """For each name, where it stands for the first time."""
    _, first, places = np.unique(names, return_index=True, return_inverse=True)
    return np.asarray(first[places], np.intp)


def _divided(groups: Groups, truth: Truth, codes: _Codes, equal: Rows) -> Groups:
    """Parts the groups that would leave nothing to divide, and parts of them that still would."""
    while (hopeless := np.flatnonzero(_hopeless(groups, truth))).size:
        finer = groups.copy()
        for group in hopeless:
            rows = np.flatnonzero(groups == group)
            most = max(1.0, min(_PART_OF_ALL * len(groups), _PART_OF_GROUP * len(rows)))
            finer[rows] = finer.max() + 1 + _compact_parts(codes[rows], equal[rows], most)
        groups = np.unique(finer, return_inverse=True)[1]
    return groups


def _compact_parts(codes: _Codes, equal: Rows, most: float) -> Groups:
    """The part of each row, none larger than `most`: halves of halves along the axis on which they differ most.

    Sproull, "Refinements to Nearest-Neighbor Searching in k-Dimensional Trees" (1991), section 4. Where codes are all
    the same, images of equal bytes alone stay together, and not even these if there are no others.
    """
    everything = np.arange(len(codes))
    parts = _first_of_equals(equal) if (equal != equal[0]).any() else everything.copy()
    waiting = [everything]
    while waiting:
        rows = waiting.pop()
        if len(rows) <= most:
            parts[rows] = rows[0]
            continue
        above = _above_the_middle(codes[rows])
        if above.any():
            waiting += [rows[above], rows[~above]]
    return parts


def _above_the_middle(codes: _Codes) -> npt.NDArray[np.bool_]:
    """Which rows lie beyond the mean along the principal axis; none where all are the same."""
    bits = np.unpackbits(np.ascontiguousarray(codes).view(np.uint8), axis=1).astype(np.float64)
    bits -= bits.mean(axis=0)
    with threadpool_limits(limits=1, user_api="blas"):  # As above.
        places = (bits @ np.linalg.eigh(bits.T @ bits)[1][:, -1:]).round(6)
    return np.asarray((places > 0).any(axis=1))


def _hopeless(groups: Groups, truth: Truth) -> npt.NDArray[np.bool_]:
    """Which groups, by number, would leave nothing to divide."""
    sizes = np.bincount(groups)
    too_large = (sizes > 1) & (sizes > _LARGEST_SHARE * len(groups))
    carried = np.zeros((len(sizes), truth.shape[1]), np.bool_)
    np.logical_or.at(carried, groups, truth)
    alone = carried[:, carried.sum(axis=0) == 1].any(axis=1)
    return np.asarray(too_large | (alone & (sizes > 1)))
