"""Which labels are answered."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from sightsmith_inference.ranking import Wish, rank

LABELS = ("a", "b", "c", "d")
SCORES = np.array([0.1, 0.6, 0.2, 0.1], np.float32)


def _labels(wish: Wish) -> list[str]:
    return [prediction.label for prediction in rank(SCORES, LABELS, wish)]


@pytest.mark.parametrize(
    ("wish", "labels"),
    [
        (Wish(), ["b"]),
        (Wish(max_results=3), ["b"]),
        (Wish(min_confidence=0.0), ["b", "c", "a", "d"]),
        (Wish(min_confidence=0.0, max_results=2), ["b", "c"]),
        (Wish(min_confidence=0.15), ["b", "c"]),
        (Wish(min_confidence=1.0), []),
    ],
)
def test_what_is_answered(wish: Wish, labels: list[str]) -> None:
    assert _labels(wish) == labels


def test_confidence_is_never_above_one() -> None:
    (first, *_) = rank(np.array([np.nextafter(np.float32(1), np.float32(2)), 0], np.float32), ("a", "b"), Wish())
    assert first.confidence == 1.0


@given(
    stn.arrays(np.float32, st.integers(1, 20), elements=st.floats(0, 1, width=32)),
    st.floats(0, 1),
    st.integers(0, 25),
)
def test_laws(scores: np.ndarray, least: float, most: int) -> None:
    labels = [str(index) for index in range(len(scores))]
    ranked = rank(scores, labels, Wish(least, most))
    confidences = [prediction.confidence for prediction in ranked]
    assert confidences == sorted(confidences, reverse=True)
    assert len(ranked) == min((scores.astype(float) >= least).sum(), most or len(scores))
    assert all(scores[int(prediction.label)] == np.float32(prediction.confidence) for prediction in ranked)


@pytest.mark.parametrize(
    ("wish", "fields"),
    [
        (Wish(), []),
        (Wish(0.0, 0), []),
        (Wish(1.0, 5), []),
        (Wish(math.nan), ["min_confidence"]),
        (Wish(-0.1), ["min_confidence"]),
        (Wish(1.1, -1), ["min_confidence", "max_results"]),
    ],
)
def test_what_is_wrong_with_a_wish(wish: Wish, fields: list[str]) -> None:
    assert [violation.field for violation in wish.violations()] == fields
