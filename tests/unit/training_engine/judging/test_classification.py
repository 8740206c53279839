"""Figures of classifiers agree with scikit-learn and with each other."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    multilabel_confusion_matrix,
    precision_recall_fscore_support,
)
from sklearn.metrics import confusion_matrix as scikit_confusion_matrix

from sightsmith_training.engine.judging.classification_metrics import (
    classification_figures,
    confusion_matrix,
)
from sightsmith_training.engine.judging.matches import ClassificationMatches, Outcome, match_labels

from .cases import classified, names, of_any_case, score_tables


def several(table) -> ClassificationMatches:
    scores, truth = table
    return classified([np.flatnonzero(row) for row in truth], scores)


def single(seed: int, images: int = 60, labels: int = 4, threshold: float = 0.0) -> ClassificationMatches:
    random = np.random.default_rng(seed)
    scores = random.dirichlet(np.full(labels, 0.7), images)
    truth = np.where(random.random(images) < 0.7, scores.argmax(axis=1), random.integers(0, labels, images))
    return classified(truth[:, None], scores, np.full(labels, threshold), single_label=True)


@of_any_case
@given(score_tables())
def test_figures_of_several_labels_are_those_of_scikit_learn(table) -> None:
    matches = several(table)
    scores, truth = table
    predicted = scores >= 0.5
    figures = classification_figures(matches)
    expected = precision_recall_fscore_support(truth, predicted, zero_division=0)
    found = [(label.precision, label.recall, label.f1, label.images) for label in figures.labels]
    np.testing.assert_allclose(np.array(found).T, expected)
    micro = precision_recall_fscore_support(truth, predicted, average="micro", zero_division=0)
    np.testing.assert_allclose((figures.micro.precision, figures.micro.recall, figures.micro.f1), micro[:3])
    assert figures.accuracy == pytest.approx((truth == predicted).all(axis=1).mean())
    cells = [
        [[own.true_negatives, own.false_positives], [own.false_negatives, own.true_positives]] for own in figures.labels
    ]
    np.testing.assert_array_equal(cells, multilabel_confusion_matrix(truth, predicted))


@of_any_case
@given(score_tables())
def test_average_precision_is_that_of_scikit_learn(table) -> None:
    scores, truth = table
    for label, figures in enumerate(classification_figures(several(table)).labels):
        if truth[:, label].any():
            assert figures.average_precision == pytest.approx(
                average_precision_score(truth[:, label], scores[:, label])
            )
        else:
            assert figures.average_precision is None


@of_any_case
@given(st.integers(0, 10_000))
def test_figures_of_one_label_are_those_of_scikit_learn(seed: int) -> None:
    matches = single(seed)
    truth, predicted = matches.truth.argmax(axis=1), matches.scores.argmax(axis=1)
    figures = classification_figures(matches)
    assert figures.accuracy == pytest.approx(accuracy_score(truth, predicted))
    present = np.unique(truth)
    macro = precision_recall_fscore_support(truth, predicted, labels=present, average="macro", zero_division=0)
    np.testing.assert_allclose((figures.macro.precision, figures.macro.recall, figures.macro.f1), macro[:3])
    matrix = confusion_matrix(matches)
    np.testing.assert_array_equal(matrix[:4, :4], scikit_confusion_matrix(truth, predicted, labels=range(4)))
    assert not matrix[4].any()
    assert not matrix[:, 4].any()


@of_any_case
@given(st.integers(0, 10_000), st.floats(0, 1))
def test_every_view_counts_the_same(seed: int, threshold: float) -> None:
    matches = single(seed, threshold=threshold)
    figures, matrix = classification_figures(matches), confusion_matrix(matches)
    for label, told in enumerate(figures.labels):
        outcomes = matches.outcomes[:, label]
        assert told.true_positives == (outcomes == Outcome.TRUE_POSITIVE).sum() == matrix[label, label]
        assert told.false_positives == (outcomes == Outcome.FALSE_POSITIVE).sum()
        assert told.false_negatives == (outcomes == Outcome.FALSE_NEGATIVE).sum()
        assert told.images == matrix[label].sum()
        assert told.true_positives + told.false_positives == matrix[:, label].sum()
        counted = matches.rankings[label].at(np.array([threshold]))
        assert (told.true_positives, told.false_positives) == (counted.true_positives[0], counted.false_positives[0])
    assert matches.predicted.sum(axis=1).max() <= 1


@of_any_case
@given(st.integers(0, 10_000), st.randoms())
def test_neither_the_order_of_images_nor_of_labels_matters(seed: int, random) -> None:
    matches = single(seed, threshold=0.4)
    images, labels = random.sample(range(60), 60), random.sample(range(4), 4)
    shuffled = replace(
        matches,
        images=tuple(matches.images[image] for image in images),
        labels=tuple(matches.labels[label] for label in labels),
        scores=matches.scores[images][:, labels],
        truth=matches.truth[images][:, labels],
    )
    first, second = classification_figures(matches), classification_figures(shuffled)
    assert second.accuracy == first.accuracy
    assert second.macro.f1 == pytest.approx(first.macro.f1)
    assert second.labels == [first.labels[label] for label in labels]


def test_perfect_predictions_are_perfect() -> None:
    figures = classification_figures(classified([[0], [1], [2], [0, 2]], [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1]]))
    assert figures.accuracy == figures.macro.f1 == figures.micro.f1 == figures.mean_average_precision == 1


def test_an_image_without_labels_is_right_when_nothing_is_predicted() -> None:
    matches = classified([[], [], [0]], [[0.3, 0.2], [0.9, 0.1], [0.4, 0.3]], single_label=True)
    assert matches.right.tolist() == [True, False, False]
    np.testing.assert_array_equal(confusion_matrix(matches), [[0, 0, 1], [0, 0, 0], [1, 0, 1]])
    assert classification_figures(matches).labels[1].average_precision is None


def test_a_label_without_images_does_not_enter_the_means() -> None:
    figures = classification_figures(classified([[0], [0]], [[0.9, 0.1], [0.8, 0.2]]))
    assert figures.macro.f1 == 1
    assert figures.labels[1].f1 == 0
    assert figures.labels[1].images == 0


def test_figures_at_other_thresholds_need_no_new_matches() -> None:
    matches = classified([[0], [1]], [[0.6, 0.4], [0.6, 0.4]])
    lowered = replace(matches, thresholds=np.array([0.7, 0.4]))
    assert classification_figures(matches).labels[1].recall == 0
    assert classification_figures(lowered).labels[1].recall == 1
    assert classification_figures(lowered).labels[0].recall == 0


def test_scores_that_do_not_fit_are_refused() -> None:
    matches = classified([[0]], [[0.5, 0.5]])
    with pytest.raises(ValueError, match="do not fit"):
        match_labels(matches.images, names(3), matches.scores, np.zeros(3), single_label=True)
    with pytest.raises(ValueError, match="not numbers"):
        classified([[0]], [[0.5, np.nan]])
