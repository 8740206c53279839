"""What a model learned from as a sketch, and what resembles none of it."""

import numpy as np
import pytest

from sightsmith.names import BackboneName
from sightsmith_inference.drift_references import DriftReference, directions_of

BACKBONE = BackboneName("lite0")


def cluster(seed: int, axis: int, count: int) -> np.ndarray:
    """Embeddings around one direction."""
    middle = np.zeros(32, np.float32)
    middle[axis] = 5
    return np.random.default_rng(seed).normal(middle, 0.5, (count, 32)).astype(np.float32)


def test_another_kind_of_picture_is_far() -> None:
    learned = np.concatenate([cluster(1, 0, 300), cluster(2, 1, 300)])
    reference = DriftReference.of(BACKBONE, learned, 0.99)
    alike = np.concatenate([cluster(3, 0, 200), cluster(4, 1, 200)])
    assert reference.is_far(alike).mean() < 0.05
    assert reference.is_far(cluster(5, 7, 200)).all()


@pytest.mark.parametrize("quantile", [0.5, 0.9])
def test_how_far_is_far_is_a_quantile_of_what_was_learned(quantile: float) -> None:
    learned = cluster(1, 0, 100)
    reference = DriftReference.of(BACKBONE, learned, quantile)
    likeness = directions_of(learned) @ directions_of(learned).T
    np.fill_diagonal(likeness, -1)
    assert (1 - likeness.max(axis=1) > reference.farthest).mean() == pytest.approx(1 - quantile, abs=0.01)
    # What was learned itself is not far, however long its embedding is.
    assert not reference.is_far(learned * 3).any()


def test_an_embedding_of_nothing_has_no_direction() -> None:
    assert not directions_of(np.zeros((1, 4), np.float32)).any()
