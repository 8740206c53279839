"""Thresholds and the curves from which people choose them."""

import numpy as np
import pytest
from hypothesis import example, given
from sklearn.metrics import precision_recall_curve as scikit_curve

from sightsmith_training.engine.judging.curves import precision_recall_curve, threshold_curve
from sightsmith_training.engine.judging.rankings import Ranking
from sightsmith_training.engine.judging.thresholds import best_threshold, best_thresholds, worthwhile_thresholds

from .cases import boxed, classified, detected, match, of_any_case, scored_labels


def ranking(scores, truth) -> Ranking:
    return Ranking.of(np.array(scores), np.array(truth), int(np.sum(truth)))


def f1_at(threshold: float, scores: np.ndarray, truth: np.ndarray) -> float:
    return 2 * (truth & (scores >= threshold)).sum() / max(1, truth.sum() + (scores >= threshold).sum())


@of_any_case
@given(scored_labels())
@example((np.array([0.0, 1.0]), np.array([True, True])))
@example((np.array([5e-324, 1.0]), np.array([True, False])))
@example((np.array([0.5, np.nextafter(0.5, 1)]), np.array([False, True])))
def test_no_threshold_has_a_better_f1(case) -> None:
    scores, truth = case
    threshold = best_threshold(ranking(scores, truth))
    assert 0 < threshold <= 1
    levels = np.unique(scores[scores > 0])
    possible = [*levels, *np.nextafter(levels, 2), *(levels[1:] + levels[:-1]) / 2, 1e-300]
    assert f1_at(threshold, scores, truth) == max(f1_at(each, scores, truth) for each in possible)


def test_the_middle_of_the_widest_gap_is_taken() -> None:
    assert best_threshold(ranking([0.9, 0.8, 0.2], [True, True, False])) == pytest.approx(0.5)
    assert best_threshold(ranking([0.9, 0.8], [True, True])) == pytest.approx(0.4)
    # Two thresholds have an F1 of 2/3: one in the gap below 0.9, one in the narrower gap below 0.4.
    assert best_threshold(ranking([0.9, 0.5, 0.4, 0.3], [True, False, True, False])) == pytest.approx(0.35)
    assert best_threshold(Ranking.of(np.array([0.9, 0.5, 0.45]), np.array([True, False, True]), 4)) == 0.225


def test_without_anything_to_find_the_threshold_is_in_the_middle() -> None:
    assert best_threshold(ranking([0.9, 0.1], [False, False])) == 0.5
    assert best_threshold(Ranking.of(np.empty(0), np.empty(0, bool), 3)) == 0.5


def test_only_the_surest_label_of_an_image_is_let_through_where_images_have_one() -> None:
    # Label 1 is never the surest on an image of its own: no threshold can bring it back.
    matches = classified([[0], [1], [0]], [[0.8, 0.2], [0.6, 0.4], [0.3, 0.7]], single_label=True)
    thresholds = best_thresholds(matches.rankings)
    assert thresholds[1] == 0.5
    assert thresholds[0] == pytest.approx(0.7)


def test_answers_are_kept_back_only_where_that_is_clearly_better() -> None:
    # One wrong answer among five, the least sure: leaving it out raises the F1 from 8/9 to 1, which may be chance.
    a_few = ranking([0.9, 0.8, 0.7, 0.6, 0.3], [True, True, True, True, False])
    # The same, a hundred times: that is not chance.
    many = ranking([0.9, 0.8, 0.7, 0.6, 0.3] * 100, [True, True, True, True, False] * 100)
    nothing = ranking([0.9, 0.1], [False, False])
    assert worthwhile_thresholds([a_few, many, nothing]) == pytest.approx([0.0, 0.45, 0.0])


def test_thresholds_of_a_detector_come_from_its_matches() -> None:
    image = boxed(0, [[0, 0, 100, 100], [200, 200, 300, 300]], [0, 0])
    answer = detected([[0, 0, 100, 100], [200, 200, 300, 300], [400, 0, 500, 100]], [0, 0, 0], [0.9, 0.8, 0.4])
    assert best_thresholds(match([image], [answer]).rankings).tolist() == pytest.approx([0.6, 0.5, 0.5])


@of_any_case
@given(scored_labels())
def test_the_threshold_curve_tells_what_each_threshold_gives(case) -> None:
    scores, truth = case
    curve = threshold_curve(ranking(scores, truth))
    assert 0 < len(curve) <= 101
    assert curve[-1].threshold <= scores.max() < curve[-1].threshold + 0.01
    for point in curve:
        found = (truth & (scores >= point.threshold)).sum()
        assert point.precision == pytest.approx(found / (scores >= point.threshold).sum())
        assert point.recall == pytest.approx(found / max(1, truth.sum()))
        assert point.f1 == pytest.approx(f1_at(point.threshold, scores, truth))


@of_any_case
@given(scored_labels())
def test_the_precision_recall_curve_is_on_that_of_scikit_learn(case) -> None:
    scores, truth = case
    if not truth.any():
        assert precision_recall_curve(ranking(scores, truth)) == []
        return
    curve = precision_recall_curve(ranking(scores, truth))
    expected = {
        threshold: (precision, recall)
        for precision, recall, threshold in zip(*scikit_curve(truth, scores), strict=False)
    }
    for point in curve:
        assert (point.precision, point.recall) == pytest.approx(expected[point.threshold])
    assert curve[-1].recall == 1
    assert [point.threshold for point in curve] == sorted({point.threshold for point in curve}, reverse=True)


def test_a_curve_of_many_predictions_stays_small() -> None:
    random = np.random.default_rng(0)
    scores = random.random(5000)
    of_many = ranking(scores, random.random(5000) < scores)
    curve = precision_recall_curve(of_many)
    assert len(curve) == 101
    np.testing.assert_allclose([point.recall for point in curve], np.linspace(0, 1, 101), atol=0.001)
