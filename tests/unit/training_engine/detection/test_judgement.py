"""Thresholds come from held-out boxes where there are enough of them; decoys are what overlaps no labelled box."""

import numpy as np
import pytest

from sightsmith_training.engine.detection.decoys import find_decoys
from sightsmith_training.engine.detection.judgement import USUAL_THRESHOLD, judge
from sightsmith_training.engine.detection.labelling import Labelling
from sightsmith_training.engine.judging.answers import Detections

_SIZE = (200, 100)
_BOX = np.array([[0.1, 0.2, 0.5, 0.8]], np.float32)
_WRONG = np.array([[0.7, 0.7, 0.9, 0.9]], np.float32)


def _found(label, right, wrong=None):
    """A detection of the box, and perhaps one of nothing, with these confidences."""
    boxes = np.concatenate([_BOX, _WRONG][: 1 + (wrong is not None)]).astype(np.float64) * [200, 100, 200, 100]
    confidences = np.array([right] if wrong is None else [right, wrong])
    return Detections(boxes, np.full(len(boxes), label, np.intp), confidences)


def _judged(counts):
    """Images with one box each; those of label 0 are found above 0.6, those of label 1 above 0.2."""
    labels = np.repeat(np.arange(len(counts)), counts)
    labellings = [Labelling(_BOX, np.array([label])) for label in labels]
    found = [_found(label, *((0.7, 0.5) if label == 0 else (0.3, 0.1))) for label in labels]
    return judge(np.arange(len(labels)), found, labellings, [_SIZE] * len(labels), len(counts))


def test_every_box_found_first_is_a_perfect_judgement():
    judgement = _judged([12, 12])
    assert (judgement.map_50, judgement.map_50_95) == (1, 1)
    assert judgement.thresholds.tolist() == pytest.approx([0.6, 0.2])


def test_a_label_with_few_boxes_gets_the_threshold_of_all_together():
    thresholds = _judged([30, 3]).thresholds
    assert thresholds.tolist() == pytest.approx([0.6, 0.6])


def test_with_few_boxes_at_all_every_threshold_is_the_usual_one():
    assert _judged([3, 3]).thresholds.tolist() == [USUAL_THRESHOLD] * 2


def test_only_some_of_the_images_may_be_judged():
    labellings = [Labelling(_BOX, np.array([0])) for _ in range(4)]
    judgement = judge(np.array([1, 3]), [_found(0, 0.9)] * 2, labellings, [_SIZE] * 4, 1)
    assert [image.image for image in judgement.matches.images] == ["000000001", "000000003"]
    assert judgement.map_50 == 1


def test_decoys_are_sure_and_apart_from_labelled_boxes():
    labellings = [Labelling(_BOX, np.array([0])), Labelling(_BOX[:0], np.empty(0, np.intp))]
    found = [_found(0, 0.9, 0.8), _found(0, 0.6, 0.1)]
    decoys = find_decoys(found, labellings, [_SIZE] * 2)
    assert decoys[0] == pytest.approx(_WRONG)
    assert decoys[1] == pytest.approx(_BOX)
