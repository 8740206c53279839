"""When a served model says of an image what its training recorded."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightsmith_inference.answer_differences import difference, may_differ
from sightsmith_inference.findings import Findings
from sightsmith_inference.models import Runtime, ServableModel, Task
from sightsmith_inference.recorded_answers import RecordedAnswer, RecordedObject

CLASSIFIER = ServableModel("shop.v1.onnx.0", "projects/shop/models/v1", Runtime.ONNX, ("hen", "cow", "pig"), 8, 8)
DETECTOR = replace(CLASSIFIER, task=Task.DETECTION)
BOX = (0.1, 0.2, 0.5, 0.6)


def _scored(*scores: float) -> RecordedAnswer:
    return RecordedAnswer("image", "0" * 64, scores)


def _said(*scores: float) -> Findings:
    """As a classifier gives it: the surest first."""
    row = np.array(scores, np.float32)
    order = np.argsort(-row, kind="stable")
    return Findings(row[order], order)


def _recorded(*objects: RecordedObject) -> RecordedAnswer:
    return RecordedAnswer("image", "0" * 64, objects=objects)


def _found(*objects: tuple[int, float, tuple[float, ...]]) -> Findings:
    labels, confidences, boxes = zip(*objects, strict=True)
    return Findings(np.array(confidences, np.float32), np.array(labels), np.array(boxes, np.float32))


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_the_same_scores_are_no_difference(scores: list[float]) -> None:
    assert difference(CLASSIFIER, _scored(*scores), _said(*scores)) is None


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_fewer_bits_may_differ_by_more(recorded: list[float], said: list[float]) -> None:
    eight = replace(CLASSIFIER, runtime=Runtime.ONNX_INT8)
    if difference(CLASSIFIER, _scored(*recorded), _said(*said)) is None:
        assert difference(eight, _scored(*recorded), _said(*said)) is None


def test_the_label_that_differs_the_most_is_named() -> None:
    problem = difference(CLASSIFIER, _scored(0.1, 0.7, 0.2), _said(0.15, 0.5, 0.35))
    assert problem == "0.500 for 'cow' where 0.700 was recorded"
    assert difference(CLASSIFIER, _scored(0.5, 0.5), _said(0.1, 0.5, 0.4)) == "3 scores where 2 were recorded"


def test_objects_are_found_again_in_any_order_and_among_others() -> None:
    recorded = _recorded(RecordedObject("cow", 0.9, BOX), RecordedObject("hen", 0.8, (0.5, 0.5, 1.0, 1.0)))
    found = _found((2, 0.95, BOX), (0, 0.805, (0.5, 0.5, 1.0, 0.99)), (1, 0.89, (0.1, 0.21, 0.5, 0.6)))
    assert difference(DETECTOR, recorded, found) is None


@pytest.mark.parametrize(
    "found",
    [
        (0, 0.9, BOX),
        (1, 0.7, BOX),
        (1, 0.9, (0.4, 0.2, 0.8, 0.6)),
        (1, 0.9, (0.1, 0.2, 0.1, 0.2)),
    ],
    ids=["another label", "less sure", "elsewhere", "without area"],
)
def test_objects_that_are_not_found_again(found: tuple[int, float, tuple[float, ...]]) -> None:
    problem = difference(DETECTOR, _recorded(RecordedObject("cow", 0.9, BOX)), _found(found))
    assert problem is not None
    assert "1 of 1 recorded objects are not found again, such as 'cow' with 0.900 at 0.100, 0.200, 0.5" in problem


def test_one_of_ten_objects_may_be_a_matter_of_rounding() -> None:
    boxes = [(index / 10, 0.0, (index + 1) / 10, 0.5) for index in range(10)]
    recorded = _recorded(*(RecordedObject("pig", 0.6, box) for box in boxes))
    assert difference(DETECTOR, recorded, _found(*((2, 0.6, box) for box in boxes[:9]))) is None
    assert difference(DETECTOR, recorded, _found(*((2, 0.6, box) for box in boxes[:8]))) is not None


def test_only_eight_bits_may_differ_on_whole_images() -> None:
    assert [may_differ(runtime, 8) for runtime in Runtime] == [0, 0, 2, 0]
