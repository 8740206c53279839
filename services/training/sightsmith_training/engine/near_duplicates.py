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

_BLOCKS = 16  # Of a code, each of sixteen bits.
_MOST_DIFFERING_BITS = 20  # Of 256: an angle of 14 degrees.
_MOST_NEIGHBOURS = 64  # That agree in a block, and with which an image is compared: bounds the time.
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


def find_near_duplicates(vectors: Features, sha256s: Sequence[str], truth: Truth) -> NearDuplicates:
    """Groups images whose vectors point the same way as seen from the middle of them all, and those of equal bytes.

    What all images have in common, such as what a fixed camera sees, makes none of them alike. Groups join: images that
    are each like the next one, as in a film, are one group. A group that would leave nothing to divide, as it has a
    large share of the images or all images of a label, keeps together images of equal bytes alone, if even these.

    Args:
        vectors: features of the images or `thumbnails` of them, shape [images, numbers].
        sha256s: of the images' bytes.
        truth: shape [images, labels].
    """
    equal = np.unique(np.asarray(sha256s), return_inverse=True)[1]
    near = _joined(equal, [*_alike(_codes(vectors))])
    groups = near
    for finer in (equal, np.arange(len(near))):
        groups = np.where(_hopeless(groups, truth)[groups], len(near) + finer, groups)
        groups = np.unique(groups, return_inverse=True)[1]
    parted = np.bincount(near)[near] > np.bincount(groups)[groups]
    return NearDuplicates(groups, int(parted.sum()))


def thumbnails(pixels: Pixels) -> Features:
    """Tiny copies as vectors, for images of which there are no features; of shape [images, numbers].

    Args:
        pixels: shape [images, side, side, 3], the side 16 or more.
    """
    edges = np.linspace(0, pixels.shape[1], _THUMBNAIL_SIDE, endpoint=False).astype(int)
    small = np.empty((len(pixels), _THUMBNAIL_SIDE, _THUMBNAIL_SIDE, 3), np.float32)
    for row, image in enumerate(pixels):
        small[row] = np.add.reduceat(np.add.reduceat(image, edges, axis=0, dtype=np.float32), edges, axis=1)
    return small.reshape(len(pixels), -1)


def _codes(vectors: Features) -> npt.NDArray[np.uint16]:
    """On which sides of random planes through their middle the vectors lie; shape [images, blocks].

    Two codes differ in a bit as often as the angle between the vectors is a share of half a turn (Charikar, "Similarity
    Estimation Techniques from Rounding Algorithms", 2002, section 3).
    """
    planes = np.random.default_rng(0).standard_normal((vectors.shape[1], 16 * _BLOCKS), np.float32)
    codes = np.empty((len(vectors), _BLOCKS), np.uint16)
    with threadpool_limits(limits=1, user_api="blas"):  # The sums must not depend on the number of cores.
        middle = vectors.mean(axis=0, dtype=np.float64).astype(np.float32) @ planes
        for start in range(0, len(vectors), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            codes[rows] = np.packbits(vectors[rows] @ planes > middle, axis=1).view(np.uint16)
    return codes


def _alike(codes: npt.NDArray[np.uint16]) -> Iterator[tuple[Rows, Rows]]:
    """Pairs of images whose codes hardly differ. Of such a pair, some block is the same nearly always."""
    for block in codes.T:
        order = np.argsort(block, kind="stable")
        ordered = block[order]
        places = np.arange(len(order))
        for distance in range(1, _MOST_NEIGHBOURS + 1):
            places = places[places < len(order) - distance]
            places = places[ordered[places] == ordered[places + distance]]
            if not len(places):
                break
            some, others = order[places], order[places + distance]
            near = np.bitwise_count(codes[some] ^ codes[others]).sum(axis=1) <= _MOST_DIFFERING_BITS
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
