import itertools
import random
import time

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sightsmith_labeling.splitting.near_duplicates import MAX_DISTANCE, bits_between, near_groups, near_pairs

DISTANCES = st.integers(0, MAX_DISTANCE)


@st.composite
def related_hashes(draw: st.DrawFn) -> list[int]:
    """Hashes of which many are a few bits away from another."""
    centres = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4))
    flips = draw(st.lists(st.lists(st.integers(0, 63), max_size=10), max_size=30))
    return [centres[place % len(centres)] ^ sum({1 << bit for bit in bits}) for place, bits in enumerate(flips)]


def far(one: int, other: int) -> int:
    return (one ^ other).bit_count()


@given(related_hashes().map(lambda hashes: sorted(set(hashes))), DISTANCES)
def test_finds_exactly_the_pairs_that_are_near(hashes: list[int], distance: int) -> None:
    pairs = {
        tuple(sorted((one, other))): bits
        for found in near_pairs(np.array(hashes, np.uint64), distance)
        for one, other, bits in zip(*found, strict=True)
    }
    assert pairs == {
        (one, other): far(hashes[one], hashes[other])
        for one, other in itertools.combinations(range(len(hashes)), 2)
        if far(hashes[one], hashes[other]) <= distance
    }


@given(related_hashes(), DISTANCES)
def test_a_group_holds_what_is_linked_by_small_steps(hashes: list[int], distance: int) -> None:
    groups = near_groups(np.array(hashes, np.uint64), distance).tolist()
    for place, hash_ in enumerate(hashes):
        reached, todo = {place}, [place]
        while todo:
            here = hashes[todo.pop()]
            new = {other for other in range(len(hashes)) if far(here, hashes[other]) <= distance} - reached
            reached |= new
            todo += new
        assert {other for other, group in enumerate(groups) if group == groups[place]} == reached, hash_


def test_bits_between_counts_bits() -> None:
    one, other = np.array([0, 2**64 - 1, 6], np.uint64), np.array([0, 0, 3], np.uint64)
    assert bits_between(one, other).tolist() == [0, 64, 2]


def test_many_hashes_that_are_all_alike_take_bounded_time() -> None:
    chance = random.Random(0)
    alike = {sum(1 << bit for bit in chance.sample(range(64), 3)) for _ in range(40_000)}
    begin = time.monotonic()
    groups = near_groups(np.array(sorted(alike), np.uint64), 4)
    assert time.monotonic() - begin < 30
    assert len(set(groups.tolist())) == 1
