"""The score of a candidate, with scikit-learn as the oracle."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score
from sklearn.metrics import log_loss as oracle_log_loss

from sightsmith_training.engine.classification.scores import log_loss, macro_f1, standard_error_of_gain


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), images=st.integers(1, 60), labels=st.integers(2, 6))
def test_macro_f1_is_scikit_learns_over_the_labels_that_are_there(seed: int, images: int, labels: int) -> None:
    random = np.random.default_rng(seed)
    targets, scores = random.integers(0, labels, images), random.random((images, labels))
    present = np.unique(targets)
    expected = f1_score(targets, scores.argmax(axis=1), labels=present, average="macro", zero_division=0)
    assert np.isclose(macro_f1(scores, np.eye(labels, dtype=bool)[targets], "softmax"), expected)
    truth = random.random((images, labels)) < 0.4
    truth[0] = True
    several = f1_score(truth, scores >= 0.5, labels=np.flatnonzero(truth.any(axis=0)), average="macro", zero_division=0)
    assert np.isclose(macro_f1(scores, truth, "sigmoid"), several)


def test_log_loss_is_scikit_learns() -> None:
    random = np.random.default_rng(0)
    scores, targets = random.dirichlet(np.ones(3), 40), np.arange(40) % 3
    expected = oracle_log_loss(targets, scores)
    assert np.isclose(log_loss(scores, np.eye(3, dtype=bool)[targets], "softmax"), expected)


def test_equal_answers_differ_by_nothing_and_more_images_tell_more() -> None:
    random = np.random.default_rng(0)

    def error(images: int) -> float:
        truth = np.eye(2, dtype=bool)[np.arange(images) % 2]
        ours, theirs = (truth + random.normal(0, 0.8, truth.shape) for _ in range(2))
        assert standard_error_of_gain(ours, ours, truth, "softmax", 0) == 0
        return standard_error_of_gain(ours, theirs, truth, "softmax", 0)

    assert error(40) > 2 * error(4000) > 0
