"""Which of two models is better, and when that cannot be told."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from sightsmith_training.engine.judging.comparison import compare_classifiers, compare_detectors, mcnemar_p_value
from sightsmith_training.engine.judging.matches import ClassificationMatches

from .cases import classified, detected, match, of_any_case, perfect, scenes

NAMES = ("v2", "v3")


def classifier(right: np.ndarray) -> ClassificationMatches:
    truth = np.arange(len(right)) % 2
    return classified(truth[:, None], np.eye(2)[np.where(right, truth, 1 - truth)], single_label=True)


def first_wrong(wrong: int, images: int) -> ClassificationMatches:
    return classifier(np.arange(images) >= wrong)


def test_a_better_model_is_called_better() -> None:
    told = compare_classifiers(NAMES, first_wrong(60, 200), first_wrong(20, 200), seed=0)
    assert told.significant
    assert told.difference == pytest.approx(told.second - told.first)
    assert 0 < told.lower < told.difference < told.upper
    assert told.p_value < 0.01
    assert told.statement == (
        f"v3 is better than v2: macro-F1 +0.200, 95 % interval {told.lower:+.3f} to {told.upper:+.3f}"
    )


def test_the_other_way_round_it_is_worse() -> None:
    forth = compare_classifiers(NAMES, first_wrong(60, 200), first_wrong(20, 200), seed=0, figure="accuracy")
    back = compare_classifiers(NAMES, first_wrong(20, 200), first_wrong(60, 200), seed=0, figure="accuracy")
    assert back.statement.startswith("v3 is worse than v2: accuracy -0.200")
    assert (back.lower, back.upper) == pytest.approx((-forth.upper, -forth.lower))
    assert back.p_value == forth.p_value


def test_few_images_show_no_difference() -> None:
    told = compare_classifiers(NAMES, first_wrong(12, 88), first_wrong(9, 88), seed=0)
    assert not told.significant
    assert told.statement.startswith("no difference between v2 and v3 can be shown with 88 images: macro-F1 +0.0")


def test_five_images_more_of_twenty_are_not_enough() -> None:
    """The bootstrap alone would call this significant; McNemar's test and ours do not."""
    told = compare_classifiers(NAMES, first_wrong(5, 20), first_wrong(0, 20), seed=0, figure="accuracy")
    assert told.lower > 0
    assert told.mcnemar_p_value == 0.0625
    assert told.p_value == pytest.approx(0.0625, abs=0.03)
    assert not told.significant


@of_any_case
@given(st.integers(0, 10_000))
def test_a_model_compared_with_itself_is_no_different(seed: int) -> None:
    random = np.random.default_rng(seed)
    model = classifier(random.random(30) < 0.8)
    told = compare_classifiers(NAMES, model, model, seed, resamples=50)
    assert (told.difference, told.lower, told.upper, told.p_value, told.mcnemar_p_value) == (0, 0, 0, 1, 1)
    assert not told.significant


def test_equally_good_models_are_rarely_called_different() -> None:
    random = np.random.default_rng(1)
    called = [
        compare_classifiers(
            NAMES, classifier(random.random(40) < 0.8), classifier(random.random(40) < 0.8), seed, resamples=200
        ).significant
        for seed in range(100)
    ]
    assert sum(called) <= 10


@of_any_case
@given(st.integers(0, 30), st.integers(0, 30))
def test_mcnemar_counts_the_images_that_one_model_gets_right(only_first: int, only_second: int) -> None:
    first = np.array([True] * only_first + [False] * only_second + [True, False])
    second = np.array([False] * only_first + [True] * only_second + [True, False])
    expected = binomtest(only_first, only_first + only_second).pvalue if only_first + only_second else 1
    assert mcnemar_p_value(first, second) == pytest.approx(expected)


def test_detectors_are_compared_by_mean_average_precision() -> None:
    images, middling = scenes(4, images=60, labels=3)
    first, second = match(images, middling), match(images, [perfect(image) for image in images])
    told = compare_detectors(NAMES, first, second, seed=0, resamples=200)
    assert told.figure == "mAP50"
    assert told.second == pytest.approx(1)
    assert told.significant
    assert told.mcnemar_p_value is None
    assert told.statement.startswith("v3 is better than v2: mAP50 +0.")
    unsure = compare_detectors(NAMES, first, match(images, middling), seed=0, resamples=50)
    assert (unsure.difference, unsure.p_value) == (0, 1)


def test_models_of_different_images_labels_or_overlaps_are_not_compared() -> None:
    model = first_wrong(1, 4)
    with pytest.raises(ValueError, match="same images"):
        compare_classifiers(NAMES, model, first_wrong(1, 5), seed=0)
    with pytest.raises(ValueError, match="same labels"):
        compare_classifiers(NAMES, model, classified([[0]] * 4, np.eye(3)[[0] * 4], single_label=True), seed=0)
    images = scenes(0, images=2, labels=3)[0]
    nothing = [detected([], [], [])] * 2
    with pytest.raises(ValueError, match="different IoUs"):
        compare_detectors(NAMES, match(images, nothing), match(images, nothing, iou=0.75), seed=0)
