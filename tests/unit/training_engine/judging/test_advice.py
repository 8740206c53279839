"""Advice is given where it helps, and not where it does not."""

from dataclasses import replace

import numpy as np
import pytest

from sightsmith_training.engine.judging.advice import Advice, TrainingFacts, advise
from sightsmith_training.engine.judging.intervals import Interval
from sightsmith_training.engine.judging.learning_curve import LearningCurve
from sightsmith_training.engine.judging.matches import ClassificationMatches
from sightsmith_training.engine.judging.tiny_boxes import TinyBoxes

from .cases import boxed, classified, detected, match, perfect

EXACT = Interval(0.9, 0.88, 0.92, "bootstrap")
MANY = TrainingFacts([50, 50, 50])


def classifier(rows: list[tuple[int, int, float, int]], thresholds=None) -> ClassificationMatches:
    """Rows are: true label, predicted label, confidence, how many images; the rest goes to the other labels."""
    truth, scores = [], []
    for true, predicted, confidence, times in rows:
        row = np.full(3, (1 - confidence) / 2)
        row[predicted] = confidence
        truth += [[true]] * times
        scores += [row] * times
    return classified(truth, np.array(scores), thresholds, single_label=True)


GOOD = [(0, 0, 0.95, 30), (1, 1, 0.95, 30), (2, 2, 0.95, 30)]


def given_advice(matches, code: str, headline: Interval = EXACT, training: TrainingFacts = MANY) -> list[Advice]:
    return [advice for advice in advise(matches, headline, training) if advice.code == code]


def test_a_good_model_needs_no_advice() -> None:
    assert advise(classifier(GOOD), EXACT, MANY) == []
    images = [boxed(index, [[0, 0, 100, 100]], [index % 3]) for index in range(60)]
    assert advise(match(images, [perfect(image) for image in images]), EXACT, MANY) == []


def test_figures_of_few_images_are_not_to_be_trusted() -> None:
    matches = classifier([(0, 0, 0.9, 10), (1, 1, 0.9, 8), (2, 2, 0.9, 2)])
    (advice,) = given_advice(matches, "FEW_TEST_IMAGES", Interval(0.91, 0.78, 0.97, "wilson"))
    assert advice.text.startswith(
        "The figures come from 20 images only: a macro-F1 of 0.91 may as well be 0.78 or 0.97"
    )
    assert advice.labels == ("label 2",)
    (perfect_by_chance,) = given_advice(matches, "FEW_TEST_IMAGES", Interval(1.0, 0.72, 1.0, "wilson"))
    assert "a macro-F1 of 1.00 may as well be 0.72. Label" in perfect_by_chance.text


def test_who_learned_from_composed_scenes_is_told_what_would_teach_more() -> None:
    images = [boxed(index, [[0, 0, 100, 100]], [index % 3]) for index in range(60)]
    matches = match(images, [perfect(image) for image in images])
    training = TrainingFacts([1, 5, 5], cross_validated=0.97, composed=True)
    fair = Interval(0.71, 0.64, 0.78, "bootstrap")
    (advice,) = given_advice(matches, "SCENES_COMPOSED", fair, training)
    assert "0.71; composed ones give 0.97" in advice.text
    assert "one picture only of 'label 0'" in advice.text
    assert advice.labels == ("label 0",)
    assert not given_advice(matches, "TEST_IMAGES_DIFFER", fair, training)
    assert not given_advice(matches, "SCENES_COMPOSED", Interval(0.96, 0.94, 0.98, "bootstrap"), training)
    assert not given_advice(matches, "SCENES_COMPOSED", fair, TrainingFacts([1, 5, 5], cross_validated=0.97))


def test_test_images_far_below_cross_validation_are_of_another_kind() -> None:
    matches = classifier([*GOOD, (0, 1, 0.6, 1)])
    training = TrainingFacts([50, 50, 50], cross_validated=0.97)
    far_below = Interval(0.71, 0.64, 0.78, "bootstrap")
    (advice,) = given_advice(matches, "TEST_IMAGES_DIFFER", far_below, training)
    assert "promised a macro-F1 of 0.97, the test images give 0.71" in advice.text
    assert advice.images == ("image 0090",)
    assert not given_advice(matches, "TEST_IMAGES_DIFFER", EXACT, training)
    assert not given_advice(matches, "TEST_IMAGES_DIFFER", Interval(0.71, 0.4, 0.98, "wilson"), training)


def test_confident_mistakes_of_a_good_model_may_be_wrong_labels() -> None:
    matches = classifier([*GOOD, (0, 1, 0.93, 1), (2, 1, 0.99, 1), (1, 0, 0.6, 1)])
    (advice,) = given_advice(matches, "SUSPICIOUS_LABELS")
    assert advice.images == ("image 0091", "image 0090")
    assert advice.labels == ("label 0", "label 1", "label 2")
    assert "2 images" in advice.text


def test_confident_mistakes_of_a_bad_model_are_its_own() -> None:
    assert not given_advice(classifier([(0, 0, 0.95, 10), (0, 1, 0.95, 10), (1, 1, 0.95, 5)]), "SUSPICIOUS_LABELS")


def test_labels_that_look_alike_are_named() -> None:
    matches = classifier([*GOOD, (0, 1, 0.7, 4), (1, 0, 0.6, 3), (1, 2, 0.6, 2), (2, 2, 0.4, 1)])
    (advice,) = given_advice(matches, "LABELS_ALIKE")
    assert advice.text.startswith("'label 0' and 'label 1' are taken for each other: 7 of the 9 errors with them.")
    assert advice.labels == ("label 0", "label 1")
    assert len(advice.images) == 7


def test_boxes_of_labels_that_look_alike_are_named() -> None:
    images = [boxed(index, [[0, 0, 100, 100]], [index % 2]) for index in range(20)]
    answers = [
        detected(image.boxes, [2 if index < 8 and index % 2 else index % 2], [0.8])
        for index, image in enumerate(images)
    ]
    (advice,) = given_advice(match(images, answers), "LABELS_ALIKE")
    assert advice.labels == ("label 1", "label 2")
    assert "4 of the 4 errors" in advice.text


def test_images_are_asked_for_where_they_help_most() -> None:
    matches = classifier([(0, 0, 0.9, 50), (1, 1, 0.9, 5), (1, 0, 0.6, 5), (2, 2, 0.9, 6), (2, 0, 0.6, 4)])
    training = TrainingFacts([200, 40, 12], learning_curve=LearningCurve(0.95, 2, 0.5), all_images=252)
    first, second = given_advice(matches, "MORE_IMAGES", training=training)
    assert first.text == (
        "12 more images of 'label 2' would help most: it has 12 training images, and is found in 6 of 10 cases. "
        "Twice as many images of all labels should raise the macro-F1 by about 0.04."
    )
    assert second.labels == ("label 1",)
    assert second.text.startswith("40 more images of 'label 1' would help too")
    assert first.images == tuple(f"image {index:04}" for index in range(66, 70))


def test_images_are_counted_once_whatever_labels_they_carry() -> None:
    matches = classifier([*GOOD[:2], (2, 0, 0.6, 4)])
    curve = LearningCurve(0.95, 1, 0.5)
    training = TrainingFacts([100, 100, 100], learning_curve=curve, all_images=100)
    (advice,) = given_advice(matches, "MORE_IMAGES", training=training)
    assert f"by about {curve.gain_of_doubling(100):.2f}." in advice.text
    assert f"{curve.gain_of_doubling(100):.2f}" != f"{curve.gain_of_doubling(300):.2f}"


@pytest.mark.parametrize(
    "training",
    [
        TrainingFacts([20, 20, 90]),
        TrainingFacts([20, 20, 12], learning_curve=LearningCurve(0.9, 0.01, 1), all_images=52),
    ],
    ids=["has many", "flat curve"],
)
def test_images_are_not_asked_for_where_they_would_not_help(training: TrainingFacts) -> None:
    assert not given_advice(classifier([*GOOD[:2], (2, 0, 0.6, 4)]), "MORE_IMAGES", training=training)


def test_small_boxes_that_are_missed_are_told() -> None:
    images = [boxed(index, [[0, 0, 12, 12], [100, 100, 300, 300]], [0, 1]) for index in range(10)]
    answers = [detected([[100, 100, 300, 300]], [1], [0.9]) for _ in images]
    (advice,) = given_advice(match(images, answers), "SMALL_BOXES_MISSED")
    assert advice.text.startswith(
        "10 of 10 boxes smaller than a twentieth of the picture's sides are missed, and 0 of 10"
    )
    assert advice.labels == ("label 0",)
    assert len(advice.images) == 10
    nothing = [detected([], [], [])] * 10
    assert not given_advice(match(images, nothing), "SMALL_BOXES_MISSED")  # Large ones are missed just as much.


def test_things_that_are_no_label_may_need_one() -> None:
    images = [boxed(index, [[0, 0, 100, 100]] if index < 5 else [], [0] if index < 5 else []) for index in range(9)]
    answers = [detected([[0, 0, 100, 100]], [0], [0.8])] * 9
    (advice,) = given_advice(match(images, answers), "UNNAMED_KIND")
    assert advice.text.startswith("'label 0' is seen 4 times where nothing is labelled.")
    assert advice.images == tuple(f"image {index:04}" for index in range(5, 9))


def test_a_label_of_many_images_that_is_still_missed_may_be_two() -> None:
    images = [boxed(index, [[0, 0, 100, 100]], [0]) for index in range(10)]
    answers = [detected([[0, 0, 100, 100]], [0], [0.8 if index < 5 else 0.1]) for index in range(10)]
    (advice,) = given_advice(match(images, answers), "SPLIT_LABEL", training=TrainingFacts([60, 20, 20]))
    assert advice.text.startswith("'label 0' is missed 5 times though it has 60 training images.")
    assert not given_advice(match(images, answers), "SPLIT_LABEL", training=TrainingFacts([10, 20, 20]))


def test_a_higher_threshold_is_advised_where_it_costs_little() -> None:
    matches = classifier([(0, 0, 0.9, 20), (1, 0, 0.6, 10), (1, 1, 0.9, 20), (2, 2, 0.9, 20)])
    (advice,) = given_advice(matches, "RAISE_THRESHOLD")
    assert advice.text == (
        "Raise the threshold of 'label 0' from 0.50 to 0.61: precision would go from 0.67 to 1.00 and recall from 1.00 "
        "to 1.00 on these images."
    )
    raised = replace(matches, thresholds=np.array([0.61, 0.5, 0.5]))
    assert raised.counts.total(axis=0).precision[0] == 1
    assert not given_advice(raised, "RAISE_THRESHOLD")
    # Three images would say the same, and nothing of the next three.
    assert not given_advice(classifier([(0, 0, 0.9, 3), (1, 0, 0.6, 3), (1, 1, 0.9, 20)]), "RAISE_THRESHOLD")


def test_a_lower_threshold_is_advised_where_it_costs_little() -> None:
    matches = classifier([(0, 0, 0.9, 10), (0, 0, 0.6, 10), (1, 1, 0.9, 20), (2, 2, 0.9, 20)], [0.8, 0.5, 0.5])
    (advice,) = given_advice(matches, "LOWER_THRESHOLD")
    assert advice.text == (
        "Lower the threshold of 'label 0' from 0.80 to 0.60: precision would go from 1.00 to 1.00 and recall from 0.50 "
        "to 1.00 on these images."
    )
    assert not given_advice(replace(matches, thresholds=np.array([0.6, 0.5, 0.5])), "LOWER_THRESHOLD")


def test_only_the_thresholds_that_gain_most_are_told() -> None:
    labels = 6
    rows = [[label] for label in range(labels) for _ in range(10)]
    scores = np.full((10 * labels, labels), 0.01)
    for label in range(labels):
        surer = 10 * label + 1 + label  # The later the label, the more of its images are above its threshold.
        scores[10 * label : surer, label] = 0.9
        scores[surer : 10 * (label + 1), label] = 0.4
    told = given_advice(classified(rows, scores), "LOWER_THRESHOLD", training=TrainingFacts([20] * labels))
    assert [advice.labels for advice in told] == [("label 0",), ("label 1",), ("label 2",)]
    assert "from 0.50 to 0.40" in told[0].text


def test_a_threshold_that_lets_more_wrong_than_right_through_is_never_advised() -> None:
    matches = classified([[0]] * 3 + [[1]] * 20, [[0.3, 0.1]] * 3 + [[0.3, 0.9]] * 20)
    assert not given_advice(matches, "LOWER_THRESHOLD", training=TrainingFacts([20, 20]))


def test_what_keeps_the_figures_from_being_true_comes_first() -> None:
    matches = classifier([(0, 0, 0.95, 20), (0, 1, 0.6, 5), (1, 1, 0.95, 20), (2, 2, 0.95, 20), (2, 1, 0.92, 1)])
    codes = [
        advice.code for advice in advise(matches, Interval(0.8, 0.7, 0.9, "bootstrap"), TrainingFacts([9, 20, 20]))
    ]
    assert codes == ["FEW_TEST_IMAGES", "SUSPICIOUS_LABELS", "LABELS_ALIKE", "RAISE_THRESHOLD"]


def test_what_a_training_did_without_is_told() -> None:
    limits = ("Too few images.", "No weights.")
    matches = classifier(GOOD)
    given = given_advice(matches, "TRAINING_LIMITED", training=replace(MANY, limits=limits))
    assert tuple(advice.text for advice in given) == limits
    assert not given_advice(matches, "TRAINING_LIMITED")
    (late,) = given_advice(matches, "BUDGET_EXCEEDED", training=replace(MANY, budget_exceeded="It took long."))
    assert late.text == "It took long."
    assert not given_advice(matches, "BUDGET_EXCEEDED")


@pytest.mark.parametrize(("counts", "told"), [([0, 3, 0], True), ([1, 1, 0], False), ([0, 0, 0], False)])
def test_objects_too_small_for_the_input_are_counted(counts: list[int], told: bool) -> None:
    training = replace(MANY, tiny=TinyBoxes(counts, boxes=200, least=8, side=1280))
    given = given_advice(classifier(GOOD), "TINY_OBJECTS", training=training)
    assert bool(given) is told
    for advice in given:
        assert advice.text.startswith("3 of 200 training boxes are smaller than 8 pixels")
        assert "1280 × 1280" in advice.text
        assert advice.labels == (classifier(GOOD).labels[1],)


def test_a_few_tiny_objects_of_very_many_are_not_worth_a_word() -> None:
    training = replace(MANY, tiny=TinyBoxes([30, 0, 0], boxes=4000, least=8, side=1280))
    assert not given_advice(classifier(GOOD), "TINY_OBJECTS", training=training)
