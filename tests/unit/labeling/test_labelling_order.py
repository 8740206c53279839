"""Farthest first: each next point is least like everything before it. And how images are shared out among calls."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sightsmith_labeling.embeddings.labelling_order import calls_of, farthest_first
from sightsmith_labeling.embeddings.sketches import Vectors

points = arrays(np.float32, st.tuples(st.integers(1, 12), st.just(3)), elements=st.floats(-4, 4, width=16))


@given(points, points, st.integers(1, 15))
def test_every_pick_is_the_farthest(candidates: Vectors, covered: Vectors, count: int) -> None:
    order, distances = farthest_first(candidates, covered, count)
    assert len(order) == len(set(order)) == min(count, len(candidates))
    done = list(covered)
    for place, distance in zip(order, distances, strict=True):
        gaps = [min(np.linalg.norm(point - other) for other in done) for point in candidates]
        assert np.isclose(gaps[place], distance, atol=1e-2)
        assert np.isclose(max(gaps), distance, atol=1e-2)
        done.append(candidates[place])


def test_one_of_each_kind_comes_before_a_second_of_any() -> None:
    kinds = np.repeat(np.eye(4, dtype=np.float32) * 10, 25, axis=0)
    candidates = kinds + np.random.default_rng(0).normal(0, 0.1, kinds.shape).astype(np.float32)
    order, _ = farthest_first(candidates, candidates[:5], 3)
    assert sorted(place // 25 for place in order) == [1, 2, 3]


def test_without_candidates_there_is_no_order() -> None:
    order, distances = farthest_first(np.empty((0, 3), np.float32), np.ones((2, 3), np.float32), 5)
    assert (list(order), len(distances)) == ([], 0)
    order, _ = farthest_first(np.empty((0, 3), np.float32), np.empty((0, 3), np.float32), 5)
    assert list(order) == []


@given(st.lists(st.integers(0, 12)), st.integers(1, 4), st.integers(1, 10))
def test_no_call_is_too_large_and_no_image_is_lost(sizes: list[int], max_images: int, max_bytes: int) -> None:
    images = [(str(number), size) for number, size in enumerate(sizes)]
    calls = list(calls_of(images, max_images, max_bytes))
    assert [image for call in calls for image in call] == [image for image, size in images if size <= max_bytes]
    for call in calls:
        assert 1 <= len(call) <= max_images
        assert sum(sizes[int(image)] for image in call) <= max_bytes
