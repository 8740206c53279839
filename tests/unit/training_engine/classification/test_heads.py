"""The linear head, with scikit-learn as the oracle."""

import time

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from sightsmith_training.engine.classification.heads import fit_heads
from sightsmith_training.engine.classification.truth import balanced_weights, usable_rows


def _features(images: int, features: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((images, features), dtype=np.float32)


@pytest.mark.parametrize("size", [(60, 8), (40, 90)], ids=["more images", "more features"])
def test_a_softmax_head_is_scikit_learns_balanced_logistic_regression(size: tuple[int, int]) -> None:
    features = _features(*size)
    targets = np.array([0] * 5 + [1] * 15 + [2] * (size[0] - 20))
    features[np.arange(size[0]), targets] += 1
    (head,) = fit_heads(features, np.eye(3, dtype=bool)[targets], "softmax", [0.3])
    standard = StandardScaler().fit_transform(features.astype(np.float64))
    oracle = LogisticRegression(C=0.3, class_weight="balanced", max_iter=5000, tol=1e-8).fit(standard, targets)
    np.testing.assert_allclose(head.predict(features), oracle.predict_proba(standard), atol=5e-3)


def test_a_sigmoid_head_is_one_balanced_logistic_regression_a_label() -> None:
    features = _features(80, 10)
    truth = np.stack([features[:, 0] > 0.7, features[:, 1] > 0.3], axis=1)
    (head,) = fit_heads(features, truth, "sigmoid", [1.0])
    standard = StandardScaler().fit_transform(features.astype(np.float64))
    for label in range(2):
        oracle = LogisticRegression(C=1.0, class_weight="balanced", max_iter=5000, tol=1e-8)
        oracle.fit(standard, truth[:, label])
        expected = oracle.predict_proba(standard)[:, 1]
        np.testing.assert_allclose(head.predict(features)[:, label], expected, atol=5e-3)


def test_a_sigmoid_head_learns_two_independent_labels_and_negatives() -> None:
    features = _features(200, 6)
    truth = features[:, :2] > 0.5
    (head,) = fit_heads(features[:150], truth[:150], "sigmoid", [30.0])
    right = (head.predict(features[150:]) >= 0.5) == truth[150:]
    assert {tuple(row) for row in truth[150:].tolist()} == {(a, b) for a in (False, True) for b in (False, True)}
    assert right.mean() > 0.9


def test_two_labels_under_a_softmax_sum_to_one() -> None:
    features = _features(20, 4)
    (head,) = fit_heads(features, np.eye(2, dtype=bool)[np.arange(20) % 2], "softmax", [0.3])
    np.testing.assert_allclose(head.predict(features).sum(axis=1), 1)


def test_a_label_that_no_image_carries_is_scored_low() -> None:
    features = _features(30, 4)
    truth = np.stack([features[:, 0] > 0.5, np.zeros(30, bool)], axis=1)
    (head,) = fit_heads(features, truth, "sigmoid", [0.3])
    assert head.predict(features)[:, 1].max() < 0.5


def test_two_hundred_and_fifty_labels_take_seconds() -> None:
    features = _features(500, 256)
    truth = np.random.default_rng(1).random((500, 250)) < 0.02
    started = time.process_time()
    (head,) = fit_heads(features, truth, "sigmoid", [0.3])
    assert head.weights.shape == (250, 256)
    assert time.process_time() - started < 20


def test_negatives_teach_only_sigmoids() -> None:
    truth = np.array([[True, False], [False, False], [False, True]])
    assert usable_rows(truth, "softmax").tolist() == [0, 2]
    assert usable_rows(truth, "sigmoid").tolist() == [0, 1, 2]


def test_all_labels_weigh_the_same() -> None:
    truth = np.eye(3, dtype=bool)[[0, 0, 0, 0, 1, 1, 2]]
    weights = balanced_weights(truth, "softmax")
    np.testing.assert_allclose(weights.T @ truth, np.full((1, 3), 7 / 3))
    weights = balanced_weights(truth, "sigmoid")
    np.testing.assert_allclose((weights * truth).sum(axis=0), (weights * ~truth).sum(axis=0))
