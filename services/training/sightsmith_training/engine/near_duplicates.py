"""Training images that show nearly the same: no candidate may be judged by a copy of what it learned from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from threadpoolctl import threadpool_limits

from sightsmith_training.engine.classification.truth import Rows, Truth
from sightsmith_training.engine.heads import Features
from sightsmith_training.engine.samples import Pixels

Groups = npt.NDArray[np.intp]
"""Shape [images]; images of one number stay together."""

_BITS = 256
# Of 274 photographs no two differ in fewer than 48 bits of their features; half of their copies at 0.7 of the size and
# a JPEG quality of 60 do, and nearly all that lack 3 % at each edge. Of thumbnails no two differ in fewer than 14 bits,
# but all of the former copies do.
_MOST_BITS_OF_FEATURES, _MOST_BITS_OF_THUMBNAILS = 36, 12
_NEIGHBOURS = 32  # In each order, with which an image is compared: bounds the time.
_ROWS_AT_ONCE = 4096
_THUMBNAIL_SIDE = 16
_LARGEST_SHARE = 1 / 3  # Of all images, in one group: with more, folds would have little in common.


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
    sha256s: Sequence[str], truth: Truth, features: Features | None = None, pixels: Pixels | None = None
) -> NearDuplicates:
    """Groups images whose features or thumbnails point the same way, seen from the middle of them all, or equal bytes.

    What all images have in common, such as what a fixed camera sees, makes none of them alike. Groups join: images that
    are each like the next one, as in a film, are one group. A group that would leave nothing to divide, as it has a
    large share of the images or all images of a label, keeps together images of equal bytes alone, if even these.

    Args:
        sha256s: of the images' bytes.
        truth: shape [images, labels].
        features: of the images, if they are known; cropped copies have like features.
        pixels: of the images, if they are at hand, shape [images, side, side, 3], the side 16 or more; copies of
            another size or quality look alike in thumbnails.
    """
    equal = np.unique(np.asarray(sha256s), return_inverse=True)[1]
    pairs = [] if features is None else [*_alike(features, _MOST_BITS_OF_FEATURES)]
    pairs += [] if pixels is None else _alike(_thumbnails(pixels), _MOST_BITS_OF_THUMBNAILS)
    near = _joined(equal, pairs)
    groups = near
    for finer in (equal, np.arange(len(near))):
        groups = np.where(_hopeless(groups, truth)[groups], len(near) + finer, groups)
        groups = np.unique(groups, return_inverse=True)[1]
    parted = np.bincount(near)[near] > np.bincount(groups)[groups]
    return NearDuplicates(groups, int(parted.sum()))


def _thumbnails(pixels: Pixels) -> Features:
    """Tiny copies as vectors, shape [images, numbers]."""
    edges = np.linspace(0, pixels.shape[1], _THUMBNAIL_SIDE, endpoint=False).astype(int)
    small = np.empty((len(pixels), _THUMBNAIL_SIDE, _THUMBNAIL_SIDE, 3), np.float32)
    for row, image in enumerate(pixels):
        small[row] = np.add.reduceat(np.add.reduceat(image, edges, axis=0, dtype=np.float32), edges, axis=1)
    return small.reshape(len(pixels), -1)


def _codes(vectors: Features) -> npt.NDArray[np.uint64]:
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


def _alike(vectors: Features, most_bits: int) -> Iterator[tuple[Rows, Rows]]:
    """Pairs of images whose codes differ in so few bits.

    Codes are put in order by one piece of them after the other, and each is compared with those that follow: where
    codes differ little, one of their pieces nearly always begins alike (the sorted neighbourhood of Hernández and
    Stolfo, "The Merge/Purge Problem for Large Databases", 1995, section 2.4).
    """
    codes = _codes(vectors)
    pieces = codes.astype(">u8").view(">u2")
    for start in range(pieces.shape[1]):
        beginnings = np.roll(pieces, -start, axis=1)[:, :4].copy().view(">u8")[:, 0]
        order = np.argsort(beginnings, kind="stable")
        for distance in range(1, min(_NEIGHBOURS, len(order) - 1) + 1):
            some, others = order[:-distance], order[distance:]
            near = np.bitwise_count(codes[some] ^ codes[others]).sum(axis=1) <= most_bits
            yield some[near], others[near]


def _joined(equal: Groups, pairs: Sequence[tuple[Rows, Rows]]) -> Groups:
    first = np.unique(equal, return_index=True)[1][equal]
    some = np.concatenate([np.arange(len(equal)), *(pair[0] for pair in pairs)])
    others = np.concatenate([first, *(pair[1] for pair in pairs)])
    graph = coo_array((np.ones(len(some), np.bool_), (some, others)), shape=(len(equal), len(equal)))
    return np.asarray(connected_components(graph, directed=False)[1], np.intp)


def _hopeless(groups: Groups, truth: Truth) -> npt.NDArray[np.bool_]:
    """Which groups, by number, would leave nothing to divide."""
    sizes = np.bincount(groups)
    too_large = (sizes > 1) & (sizes > _LARGEST_SHARE * len(groups))
    carried = np.zeros((len(sizes), truth.shape[1]), np.bool_)
    np.logical_or.at(carried, groups, truth)
    alone = carried[:, carried.sum(axis=0) == 1].any(axis=1)
    return np.asarray(too_large | (alone & (sizes > 1)))
