"""What more images would bring."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightsmith_training.engine.judging.learning_curve import LearningCurve, fit_learning_curve

from .cases import of_any_case

SIZES = [25, 50, 100, 200, 400]


@of_any_case
@given(st.floats(0.6, 1), st.floats(0.2, 0.5), st.floats(0.2, 1.5), st.sampled_from([1, 10, 100]))
def test_a_power_law_is_found_again(ceiling: float, missing: float, rate: float, unit: int) -> None:
    sizes = [size * unit for size in SIZES]
    true = LearningCurve(ceiling, missing * sizes[0] ** rate, rate)
    found = fit_learning_curve(sizes, [true.score_at(size) for size in sizes])
    for size in (*sizes, 2 * sizes[-1]):
        assert found.score_at(size) == pytest.approx(true.score_at(size), abs=0.005)
    assert found.gain_of_doubling(sizes[-1]) == pytest.approx(true.gain_of_doubling(sizes[-1]), abs=0.005)


@of_any_case
@given(st.lists(st.floats(0, 1), min_size=3, max_size=8))
def test_whatever_the_points_the_curve_rises_and_stays_a_share(scores: list[float]) -> None:
    curve = fit_learning_curve([10 * 2**place for place in range(len(scores))], scores)
    expected = [curve.score_at(images) for images in (10, 100, 1000, 10**6)]
    assert expected == sorted(expected)
    assert expected[0] >= 0
    assert expected[-1] <= 1
    assert curve.gain_of_doubling(100) >= 0


def test_noise_is_smoothed_and_the_gain_is_about_right() -> None:
    random = np.random.default_rng(0)
    true = LearningCurve(0.95, 1.2, 0.5)
    sizes = SIZES * 5
    found = fit_learning_curve(sizes, [true.score_at(size) + random.normal(0, 0.01) for size in sizes])
    assert found.gain_of_doubling(400) == pytest.approx(true.gain_of_doubling(400), abs=0.01)


def test_a_flat_curve_promises_nothing() -> None:
    assert fit_learning_curve([10, 20, 40], [0.9, 0.9, 0.9]).gain_of_doubling(40) < 0.002


def test_two_sizes_are_no_curve() -> None:
    assert fit_learning_curve([10, 20, 20, 10], [0.5, 0.6, 0.65, 0.5]) is None
