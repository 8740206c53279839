"""How far confidences can be believed."""

import numpy as np
import pytest
from hypothesis import given
from sklearn.calibration import calibration_curve

from sightsmith_training.engine.judging.reliability import (
    classification_reliability,
    detection_reliability,
    reliability,
)

from .cases import boxed, classified, detected, match, of_any_case, scored_labels


@of_any_case
@given(scored_labels())
def test_bins_and_error_follow_from_the_predictions(case) -> None:
    confidences, right = case
    told = reliability(confidences, right)
    error = 0.0
    for place, each in enumerate(told.bins):
        inside = (confidences > place / 10) & (confidences <= (place + 1) / 10)
        assert each.count == inside.sum()
        if each.count:
            assert each.accuracy == pytest.approx(right[inside].mean())
            assert each.confidence == pytest.approx(confidences[inside].mean())
            error += inside.mean() * abs(each.accuracy - each.confidence)
    assert told.calibration_error == pytest.approx(error)


def test_bins_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    confidences = random.random(2000)
    right = random.random(2000) < confidences**2
    accuracy, confidence = calibration_curve(right, confidences, n_bins=10)
    told = reliability(confidences, right)
    np.testing.assert_allclose([each.accuracy for each in told.bins], accuracy)
    np.testing.assert_allclose([each.confidence for each in told.bins], confidence)


def test_honest_confidences_have_a_small_error_and_boasting_ones_a_large_one() -> None:
    random = np.random.default_rng(0)
    honest = random.uniform(0.5, 1, 5000)
    right = random.random(5000) < honest
    assert reliability(honest, right).calibration_error < 0.02
    assert reliability(np.full(5000, 0.99), right).calibration_error == pytest.approx(0.99 - right.mean())


def test_a_classifier_of_one_label_is_judged_by_its_surest_label() -> None:
    told = classification_reliability(classified([[0], [1]], [[0.95, 0.05], [0.75, 0.25]], single_label=True))
    assert sum(each.count for each in told.bins) == 2
    assert told.calibration_error == pytest.approx((0.05 + 0.75) / 2)


def test_what_nobody_would_take_for_a_prediction_does_not_hide_the_error() -> None:
    told = classification_reliability(classified([[0]] * 10, np.tile([0.6, 0.01, 0.01], (10, 1))))
    assert told.calibration_error == pytest.approx(0.4)
    image = boxed(0, [[0, 0, 100, 100]], [0])
    answer = detected([[0, 0, 100, 100], *[[300, 300, 310, 310]] * 50], [0] * 51, [0.8, *[0.001] * 50])
    assert detection_reliability(match([image], [answer])).calibration_error == pytest.approx(0.2)


def test_without_predictions_nothing_is_known() -> None:
    assert reliability(np.empty(0), np.empty(0, bool)).calibration_error is None
