"""How exact figures are: intervals that are wide where little is known, and that hold what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from sightsmith_training.engine.judging.detection_metrics import detection_figures
from sightsmith_training.engine.judging.headlines import Accuracy, MacroF1, MeanAveragePrecision
from sightsmith_training.engine.judging.intervals import classification_intervals, detection_intervals, wilson
from sightsmith_training.engine.judging.matches import ClassificationMatches
from sightsmith_training.engine.judging.resampling import affordable_draws, bootstrap, percentile_bounds

from .cases import boxed, classified, match, of_any_case, perfect, scenes
from .coco import coco_evaluation


def classifier(right: list[bool], labels: int = 2) -> ClassificationMatches:
    """Image i has label i modulo `labels`; a wrong answer is the next label."""
    truth = np.arange(len(right)) % labels
    predicted = np.where(right, truth, (truth + 1) % labels)
    return classified(truth[:, None], np.eye(labels)[predicted], single_label=True)


@of_any_case
@given(st.integers(1, 400), st.floats(0, 1))
def test_wilson_bounds_are_those_of_scipy(trials: int, share: float) -> None:
    successes = round(share * trials)
    expected = binomtest(successes, trials).proportion_ci(method="wilson")
    lower, upper = wilson(np.array([successes / trials]), np.array([float(trials)]))
    assert (lower[0], upper[0]) == pytest.approx((expected.low, expected.high))


def test_of_nothing_nothing_is_known() -> None:
    lower, upper = wilson(np.zeros(1), np.zeros(1))
    assert (lower[0], upper[0]) == pytest.approx((0, 1))


def test_twenty_images_without_a_mistake_do_not_look_exact() -> None:
    told = classification_intervals(classifier([True] * 20), seed=0)
    assert told.accuracy.value == told.macro_f1.value == 1
    assert told.accuracy.method == "wilson"
    assert told.accuracy.lower < 0.85
    assert told.macro_f1.lower < 0.9


def test_one_image_of_one_is_not_certainty() -> None:
    (label, _) = classification_intervals(classifier([True, True]), seed=0).labels
    for interval in (label.precision, label.recall, label.f1):
        assert interval.value == 1
        assert interval.lower < 0.4
        assert interval.upper == pytest.approx(1)
        assert interval.method == "wilson"


def test_a_perfect_detector_of_few_boxes_does_not_look_exact() -> None:
    images = [boxed(index, [[0, 0, 100, 100]], [index % 2]) for index in range(10)]
    told = detection_intervals(match(images, [perfect(image) for image in images], 2), seed=0)
    assert told.mean_average_precision.value == pytest.approx(1)
    assert told.mean_average_precision.lower < 0.8
    assert told.labels[0].recall.lower < 0.6


def test_mistakes_that_gather_on_an_image_widen_the_interval() -> None:
    row = [[50 * place, 0, 50 * place + 40, 40] for place in range(10)]
    images = [boxed(index, row, [0] * 10) for index in range(10)]
    answers = [perfect(image) if index % 2 else perfect(boxed(0, [], [])) for index, image in enumerate(images)]
    (label,) = detection_intervals(match(images, answers, 1), seed=0).labels
    assert label.recall.value == 0.5
    assert label.recall.method == "bootstrap"  # Half of 100 boxes on their own would be known to a tenth.
    assert label.recall.upper - label.recall.lower > 0.5


def test_many_images_give_narrow_intervals() -> None:
    random = np.random.default_rng(0)
    told = classification_intervals(classifier((random.random(4000) < 0.9).tolist()), seed=0)
    assert told.accuracy.upper - told.accuracy.lower < 0.03
    assert told.macro_f1.upper - told.macro_f1.lower < 0.03


@pytest.mark.parametrize("share", [0.6, 0.95])
def test_nineteen_of_twenty_intervals_hold_the_truth(share: float) -> None:
    """Of 100 test sets of 40 images from one model, nearly all give intervals around its true figures."""
    random = np.random.default_rng(5)
    accuracy, macro_f1 = 0, 0
    for _ in range(100):
        told = classification_intervals(classifier((random.random(40) < share).tolist()), seed=0, resamples=200)
        accuracy += told.accuracy.lower <= share <= told.accuracy.upper
        macro_f1 += told.macro_f1.lower <= share <= told.macro_f1.upper  # Equal chances make it equal to accuracy.
    assert accuracy >= 0.92 * 100
    assert macro_f1 >= 0.92 * 100


@of_any_case
@given(st.integers(0, 1000))
def test_a_figure_is_between_its_bounds(seed: int) -> None:
    images, answers = scenes(seed, images=6, labels=3)
    matches = match(images, answers)
    told, figures = detection_intervals(matches, seed, resamples=50), detection_figures(matches)
    assert told.mean_average_precision.value == pytest.approx(figures.coco["all"].ap50 or 0)
    assert told.macro_f1.value == pytest.approx(figures.macro.f1)
    for label, expected in zip(told.labels, figures.labels, strict=True):
        assert (label.precision.value, label.recall.value) == pytest.approx((expected.precision, expected.recall))
        for interval in (label.precision, label.recall, label.f1, told.mean_average_precision, told.macro_f1):
            assert 0 <= interval.lower <= interval.value + 1e-9
            assert interval.value - 1e-9 <= interval.upper <= 1


def test_weights_stand_for_images_that_occur_several_times() -> None:
    images, answers = scenes(3, images=12, labels=2)
    weights = np.random.default_rng(0).integers(0, 4, 12)
    chosen = np.repeat(np.arange(12), weights)
    copies = [boxed(number, images[index].boxes, images[index].box_labels) for number, index in enumerate(chosen)]
    of_copies = coco_evaluation(copies, [answers[index] for index in chosen], 2).stats[1]
    once = match(images, answers, 2)
    assert MeanAveragePrecision.of(once)(weights[None].astype(float))[0] == pytest.approx(of_copies)
    twice = match(copies, [answers[index] for index in chosen], 2)
    assert MacroF1.of(once)(weights[None].astype(float))[0] == pytest.approx(detection_figures(twice).macro.f1)


def test_figures_beside_each_other_are_of_all_their_images() -> None:
    first, second = scenes(1, images=5, labels=2), scenes(2, images=7, labels=2)
    renamed = [boxed(index + 5, image.boxes, image.box_labels) for index, image in enumerate(second[0])]
    whole = match([*first[0], *renamed], [*first[1], *second[1]], 2)
    everything = np.ones((1, 12))
    for figure in (MacroF1, MeanAveragePrecision):
        parts = figure.of(match(*first, 2)).beside(figure.of(match(*second, 2)))
        assert parts.images == 12
        assert parts(everything) == pytest.approx(figure.of(whole)(everything))


def test_draws_are_repeatable_and_as_large_as_the_set() -> None:
    sizes = bootstrap(lambda weights: weights.sum(axis=1), 30, seed=1)
    assert sizes.tolist() == [30] * 1000
    accuracy = Accuracy(np.arange(30) % 3 > 0)
    np.testing.assert_array_equal(bootstrap(accuracy, 30, seed=1), bootstrap(accuracy, 30, seed=1))
    assert not np.array_equal(bootstrap(accuracy, 30, seed=1), bootstrap(accuracy, 30, seed=2))
    assert bootstrap(accuracy, 30, seed=1).std() == pytest.approx(np.sqrt(2 / 9 / 30), rel=0.1)


def test_bounds_are_moved_to_the_figure_and_leave_out_unknown_draws() -> None:
    drawn = np.column_stack((np.linspace(0.4, 0.8, 1001), np.full(1001, np.nan)))
    drawn[::2, 0] = np.nan
    bounds = percentile_bounds(np.array([0.5, 0.3]), drawn)
    np.testing.assert_allclose(bounds, [[0.31, 0.3], [0.69, 0.3]], atol=1e-3)


def test_very_many_detections_are_drawn_less_often() -> None:
    assert affordable_draws(1000, 1_000) == 1000
    assert affordable_draws(1000, 100_000) == 200
    assert affordable_draws(50, 10_000_000) == 50


def test_images_on_which_nothing_is_and_nothing_is_predicted_tell_nothing() -> None:
    interval = classification_intervals(classified([[]] * 5, np.full((5, 2), 0.1)), 0).macro_f1
    assert (interval.lower, interval.upper) == (0, 1)
