"""Figures of detectors agree with pycocotools and with each other."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightsmith_training.engine.judging.detection_matches import match_detections
from sightsmith_training.engine.judging.detection_metrics import SIZES, detection_figures
from sightsmith_training.engine.judging.overlaps import NOBODY, intersection_over_union

from .cases import boxed, detected, match, names, of_any_case, perfect, scenes
from .coco import coco_evaluation, mean_known

EXACT = 1e-9


@pytest.mark.parametrize("seed", range(12))
def test_figures_are_those_of_pycocotools(seed: int) -> None:
    labels = 1 + seed % 5
    images, answers = scenes(seed, images=3 + 7 * seed, labels=labels, steps=[4, 20, 1000][seed % 3])
    figures = detection_figures(match(images, answers, labels))
    evaluation = coco_evaluation(images, answers, labels)
    precision, recall = evaluation.eval["precision"][..., -1], evaluation.eval["recall"][..., -1]
    for area, size in enumerate(SIZES):
        told = figures.coco[size]
        assert told.ap50 == pytest.approx(mean_known(precision[0, :, :, area]), abs=EXACT), size
        assert told.ap50_95 == pytest.approx(mean_known(precision[..., area]), abs=EXACT), size
        assert told.ar100 == pytest.approx(mean_known(recall[..., area]), abs=EXACT), size
    for label, of_label in enumerate(figures.labels):
        assert of_label.coco.ap50 == pytest.approx(mean_known(precision[0, :, label, 0]), abs=EXACT)
        assert of_label.coco.ap50_95 == pytest.approx(mean_known(precision[:, :, label, 0]), abs=EXACT)
        assert of_label.coco.ar100 == pytest.approx(mean_known(recall[:, label, 0]), abs=EXACT)


@pytest.mark.parametrize("seed", range(6))
def test_each_detection_finds_the_box_that_it_finds_in_pycocotools(seed: int) -> None:
    images, answers = scenes(seed, images=20, labels=2)
    matches = match(images, answers, 2)
    evaluation = coco_evaluation(images, answers, 2)
    everything = [result for result in evaluation.evalImgs if result and result["aRng"] == [0, 1e10]]
    matched = {
        (result["image_id"], detection): truth
        for result in everything
        for detection, truth in zip(result["dtIds"], result["dtMatches"][0], strict=True)
    }
    # Both number boxes image after image from the first one; pycocotools begins with 1, and 0 means nobody.
    found = {
        (image, number): partner + 1 if partner != NOBODY else 0
        for number, (image, partner) in enumerate(
            zip(matches.detections.images, matches.partners, strict=True), start=1
        )
    }
    assert found == matched


def test_only_the_hundred_surest_of_a_label_count() -> None:
    image = boxed(0, [[0, 0, 10, 10], [50, 50, 60, 60]], [0, 1])
    elsewhere = [[200 + index, 200, 210 + index, 210] for index in range(100)]
    answer = detected(
        [*elsewhere, [0, 0, 10, 10], [50, 50, 60, 60]], [0] * 101 + [1], [*np.linspace(0.9, 0.8, 100), 0.7, 0.6]
    )
    figures = detection_figures(match([image], [answer], 2))
    evaluation = coco_evaluation([image], [answer], 2)
    assert figures.coco["all"].ar100 == evaluation.stats[8] == 0.5
    assert figures.labels[0].recall == 0
    assert figures.labels[1].recall == 1


@of_any_case
@given(st.integers(0, 10_000), st.sampled_from([0.3, 0.5, 0.75]), st.floats(0, 1))
def test_every_view_counts_the_same(seed: int, iou: float, threshold: float) -> None:
    images, answers = scenes(seed, images=8, labels=3)
    matches = match(images, answers, 3, threshold, iou)
    figures, matrix = detection_figures(matches), matches.confusion
    assert figures.iou == iou
    for label, told in enumerate(figures.labels):
        assert told.true_positives == matrix[label, label]
        assert told.boxes == told.true_positives + told.false_negatives == matrix[label].sum()
        assert told.true_positives + told.false_positives == matrix[:, label].sum()
        counted = matches.rankings[label].at(np.array([threshold]))
        assert (told.true_positives, told.false_positives) == (counted.true_positives[0], counted.false_positives[0])
        assert told.images == sum(label in image.box_labels for image in images)
    assert matches.missed.sum() == sum(label.false_negatives for label in figures.labels)


@of_any_case
@given(st.integers(0, 10_000), st.floats(0, 1))
def test_a_threshold_takes_away_the_least_sure_and_changes_no_other_match(seed: int, threshold: float) -> None:
    images, answers = scenes(seed, images=6, labels=2)
    at_threshold = replace(match(images, answers, 2), thresholds=np.full(2, threshold))
    sure = [
        detected(answer.boxes[sure], answer.labels[sure], answer.confidences[sure])
        for answer in answers
        for sure in [answer.confidences >= threshold]
    ]
    of_the_sure = match(images, sure, 2, threshold=0.0)
    for ours, theirs in zip(at_threshold.counts.__dict__.values(), of_the_sure.counts.__dict__.values(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@of_any_case
@given(st.integers(0, 10_000), st.randoms())
def test_neither_the_order_of_images_nor_of_labels_matters(seed: int, random) -> None:
    images, answers = scenes(seed, images=10, labels=3)
    first = detection_figures(match(images, answers, 3))
    order, labels = random.sample(range(10), 10), np.array(random.sample(range(3), 3))
    shuffled = match_detections(
        [replace(images[index], box_labels=labels[images[index].box_labels]) for index in order],
        [name for _, name in sorted(zip(labels, names(3), strict=True))],
        [replace(answers[index], labels=labels[answers[index].labels]) for index in order],
        np.full(3, 0.5),
    )
    second = detection_figures(shuffled)
    assert {label.label: label for label in second.labels} == {label.label: label for label in first.labels}
    assert second.micro == first.micro
    assert second.coco["all"].ap50_95 == pytest.approx(first.coco["all"].ap50_95, nan_ok=True)


def test_perfect_detections_are_perfect() -> None:
    images, _ = scenes(1, images=20, labels=3)
    figures = detection_figures(match(images, [perfect(image) for image in images]))
    for size in SIZES:
        assert figures.coco[size].ap50_95 == pytest.approx(1)
        assert figures.coco[size].ar100 == 1
    assert figures.macro.f1 == figures.micro.f1 == 1


def test_a_missed_box_keeps_the_confidence_of_the_detection_below_the_threshold() -> None:
    image = boxed(0, [[0, 0, 100, 100], [200, 200, 300, 300], [400, 0, 500, 100]], [0, 0, 0])
    answer = detected([[0, 0, 100, 100], [200, 200, 300, 290]], [0, 0], [0.8, 0.009])
    matches = match([image], [answer])
    assert matches.missed.tolist() == [False, True, True]
    assert matches.truth_confidences.tolist() == [0.8, 0.009, 0.0]
    assert matches.finders.tolist() == [0, 1, NOBODY]
    np.testing.assert_allclose(matches.partner_ious, [1, 0.9])


def test_a_box_under_another_label_is_a_confusion_and_no_background() -> None:
    image = boxed(0, [[0, 0, 100, 100], [200, 200, 300, 300]], [0, 1])
    answer = detected([[0, 0, 100, 100], [200, 200, 300, 300], [400, 0, 420, 20]], [1, 1, 2], [0.9, 0.8, 0.7])
    np.testing.assert_array_equal(
        match([image], [answer]).confusion, [[0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]]
    )


def test_nothing_labelled_and_nothing_detected_can_be_judged() -> None:
    nothing = boxed(0, [], []), detected([], [], [])
    for images, answers in (([], []), ([nothing[0]], [nothing[1]])):
        figures = detection_figures(match(images, answers))
        assert figures.coco["all"].ap50 is None
        assert figures.macro.f1 == 0
    invented = detection_figures(match([nothing[0]], [detected([[0, 0, 9, 9]], [1], [0.9])]))
    assert [label.false_positives for label in invented.labels] == [0, 1, 0]
    assert invented.coco["all"].ar100 is None


def test_boxes_without_an_area_overlap_nothing() -> None:
    flat = np.array([[5.0, 5, 5, 20], [0, 0, 10, 10]])
    np.testing.assert_array_equal(intersection_over_union(flat[:, None], flat), [[0, 0], [0, 1]])


def test_answers_for_other_images_are_refused() -> None:
    with pytest.raises(ValueError, match="1 images, 0 detections"):
        match([boxed(0, [], [])], [])
    with pytest.raises(ValueError, match="not numbers"):
        match([boxed(0, [], [])], [detected([[0, 0, 9, 9]], [0], [np.nan])])
