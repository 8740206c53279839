"""Confidences after calibration."""

import numpy as np
import pytest
from scipy.special import expit, softmax

from sightsmith_training.engine.classification.calibration import fit_calibration
from sightsmith_training.engine.classification.heads import Head, activate
from sightsmith_training.engine.classification.scores import log_loss


def _answers(temperature: float, images: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from a softmax, and its logits divided by a temperature."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (images, 4))
    targets = [random.choice(4, p=row) for row in softmax(logits, axis=1)]
    return logits / temperature, np.eye(4, dtype=bool)[targets]


@pytest.mark.parametrize("temperature", [0.25, 1.0, 3.0])
def test_a_temperature_is_found_again(temperature: float) -> None:
    calibration = fit_calibration(*_answers(temperature), "softmax")
    np.testing.assert_allclose(calibration.scale, temperature, rtol=0.1)
    assert not calibration.shift.any()


def test_calibration_lowers_the_loss_on_images_it_has_not_seen() -> None:
    logits, truth = _answers(0.25)
    calibration = fit_calibration(logits[:1500], truth[:1500], "softmax")
    before = log_loss(activate(logits[1500:], "softmax"), truth[1500:], "softmax")
    assert log_loss(calibration.scores(logits[1500:]), truth[1500:], "softmax") < before


def test_each_sigmoid_gets_its_own_line() -> None:
    random = np.random.default_rng(1)
    logits = random.normal(0, 2, (4000, 2))
    truth = random.random((4000, 2)) < expit(logits * [0.5, 2.0] + [1.0, -1.0])
    calibration = fit_calibration(logits, truth, "sigmoid")
    np.testing.assert_allclose(calibration.scale, [0.5, 2.0], rtol=0.15)
    np.testing.assert_allclose(calibration.shift, [1.0, -1.0], atol=0.15)


def test_a_label_without_carriers_is_calibrated_to_something_finite_and_low() -> None:
    logits = np.random.default_rng(2).normal(0, 1, (30, 1))
    calibration = fit_calibration(logits, np.zeros((30, 1), bool), "sigmoid")
    assert np.isfinite(calibration.scale).all()
    assert calibration.scores(logits).max() < 0.2


def test_a_head_takes_the_calibration_into_itself() -> None:
    random = np.random.default_rng(3)
    features = random.random((50, 6), dtype=np.float32)
    head = Head(random.normal(size=(3, 6)), random.normal(size=3), "sigmoid")
    calibration = fit_calibration(head.logits(features), random.random((50, 3)) < 0.4, "sigmoid")
    expected = calibration.scores(head.logits(features))
    np.testing.assert_allclose(calibration.apply_to(head).predict(features), expected, atol=1e-12)
