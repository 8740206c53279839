"""Sketches keep the order of similarities well enough to pick candidates by."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sightsmith_labeling.embeddings.sketches import (
    Vectors,
    directions,
    read_sketches,
    similarities,
    sketches,
    vector_text,
)
from sightsmith_labeling.embeddings.tables import SKETCH_DIMENSIONS

FEATURES = 1280
EXPECTED = [0.09964, -0.03689, -0.06187, -0.06076]
features = arrays(np.float32, (3, 20), elements=st.floats(0, 6, width=32))


def pictures(count: int) -> Vectors:
    """Features like those of real images: a few kinds of picture, mixed, most numbers near zero."""
    chance = np.random.default_rng(0)
    kinds = chance.exponential(0.15, (20, FEATURES)) * (chance.random((20, FEATURES)) < 0.4)
    shares = chance.dirichlet(np.full(20, 0.2), count)
    return np.minimum(shares @ kinds * np.exp(chance.normal(0, 0.3, (count, FEATURES))), 6).astype(np.float32)


@given(features)
def test_similarity_is_a_cosine_of_what_is_never_negative(vectors: Vectors) -> None:
    found = similarities(vectors[0], vectors)
    assert found[0] == pytest.approx(1, abs=1e-5)
    assert ((found >= 0) & (found <= 1)).all()
    assert similarities(vectors[1], vectors[:1])[0] == pytest.approx(found[1], abs=1e-5)
    np.testing.assert_allclose(np.linalg.norm(directions(vectors), axis=1), 1, atol=1e-5)


def test_distances_stay_about_what_they_were() -> None:
    vectors = pictures(400)
    lengths = np.linalg.norm(directions(vectors)[1:] - directions(vectors)[:-1], axis=1)
    found = np.linalg.norm(np.diff(sketches(vectors), axis=0), axis=1)
    ratio = found / lengths
    assert np.mean(ratio) == pytest.approx(1, abs=0.05)
    assert (np.percentile(ratio, [1, 99]) > [0.8, 1.1]).all()
    assert np.percentile(ratio, 99) < 1.25


def test_the_nearest_are_among_the_candidates() -> None:
    vectors = pictures(5000)
    kept, every = sketches(vectors), directions(vectors)
    hits = 0
    for query in range(50):
        nearest = np.argsort(-(every @ every[query]), kind="stable")[:10]
        candidates = np.argsort(np.linalg.norm(kept - kept[query], axis=1), kind="stable")[:200]
        hits += len(set(nearest) & set(candidates))
    assert hits / 500 > 0.97


def test_a_sketch_is_the_same_for_ever() -> None:
    """Sketches are kept in databases: if this fails, every one of them has to be made again."""
    sketch = sketches(np.arange(FEATURES, dtype=np.float32)[None] / 500)[0]
    assert sketch.shape == (SKETCH_DIMENSIONS,)
    assert sketch[:4].tolist() == pytest.approx(EXPECTED, abs=1e-4)


def test_text_and_back() -> None:
    sketch = sketches(pictures(2))
    np.testing.assert_allclose(read_sketches([vector_text(row) for row in sketch]), sketch, rtol=1e-4)
    assert read_sketches([]).shape == (0, SKETCH_DIMENSIONS)
