"""Finding images that look almost the same, by 64-bit difference hashes of their thumbnails.

Two hashes that differ in a few bits only are found without comparing every pair, by multi-index hashing (Norouzi,
Punjani and Fleet, "Fast search in Hamming space with multi-index hashing", CVPR 2012): cut into more blocks than bits
may differ, two such hashes have several whole blocks in common.
"""

from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

# In how many of the 64 bits a picture and a copy of it, scaled or saved again, differ at most; docs/splitting.md has
# the measurements.
DEFAULT_DISTANCE = 4
MAX_DISTANCE = 8

_BITS = 64
# Blocks that two hashes must have in common. With two, the keys of a table have 64 × 2 / (distance + 2) bits: enough
# that hardly any two hashes have one in common by chance.
_COMMON_BLOCKS = 2
# With how many of its neighbours in a table a hash is compared, so that time is bounded. Ordinary sets never come near
# it. Where more hashes agree, as those of a camera that never moves, they stand in order, and the nearest meet.
_NEIGHBOURS = 64

Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]


class NearPairs(NamedTuple):
    """Pairs of hashes that differ in a few bits: three arrays of one length. No place occurs twice in `first`, nor in
    `second`.

    Attributes:
        first: places of the one hash.
        second: places of the other.
        bits: in how many bits they differ.
    """

    first: Places
    second: Places
    bits: Places


def near_pairs(hashes: Hashes, distance: int = DEFAULT_DISTANCE) -> Iterator[NearPairs]:
    """Finds the pairs of hashes that differ in few bits; a pair may come several times.

    Args:
        hashes: different from each other: equal ones would make as many pairs as their number squared.
        distance: greatest number of bits that may differ, 0 to 8.
    """
    for chosen in _block_pairs(distance):
        keys = hashes & chosen
        order = np.lexsort((hashes, keys))
        keys = keys[order]
        begins = np.arange(len(keys))
        for step in range(1, _NEIGHBOURS + 1):
            begins = begins[begins + step < len(keys)]
            begins = begins[keys[begins] == keys[begins + step]]
            if not len(begins):
                break
            one, other = order[begins], order[begins + step]
            bits = bits_between(hashes[one], hashes[other])
            near = bits <= distance
            yield NearPairs(one[near], other[near], bits[near])


def near_groups(hashes: Hashes, distance: int = DEFAULT_DISTANCE) -> Places:
    """Groups hashes that are linked by steps of a few bits.

    Args:
        hashes: of any order; equal ones are in one group.
        distance: greatest number of bits of a step, 0 to 8.

    Returns:
        The number of each hash's group, counted from 0.
    """
    different, place_of = np.unique(hashes, return_inverse=True)
    groups = np.arange(len(different))
    for pairs in near_pairs(different, distance):
        one, other = groups[pairs.first], groups[pairs.second]
        if (new := one != other).any():
            groups = _joined(groups, one[new], other[new])
    return groups[place_of]


def bits_between(one: Hashes, other: Hashes) -> Places:
    """In how many bits hashes differ, pair by pair."""
    bits: Places = np.bitwise_count(one ^ other).astype(np.int64)
    return bits


def _block_pairs(distance: int) -> Iterator[np.uint64]:
    """Masks of two blocks each, such that two hashes of at most this distance agree in one of them."""
    edges = [_BITS * number // (distance + _COMMON_BLOCKS) for number in range(distance + _COMMON_BLOCKS + 1)]
    blocks = [(1 << end) - (1 << begin) for begin, end in pairwise(edges)]
    return (np.uint64(sum(chosen)) for chosen in combinations(blocks, _COMMON_BLOCKS))


def _joined(groups: Places, one: Places, other: Places) -> Places:
    """The groups after those in `one` were joined with those in `other`."""
    count = int(groups.max()) + 1
    links = coo_array((np.ones(len(one), np.bool_), (one, other)), (count, count))
    _, joined = connected_components(links, directed=False)
    return np.asarray(joined, np.int64)[groups]
