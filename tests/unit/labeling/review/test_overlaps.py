"""When labels and boxes of different makers mean the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from sightsmith_labeling.annotations import Box
from sightsmith_labeling.overlaps import Content, overlap, unmatched

sides = st.floats(0.5, 100)
boxes = st.builds(Box, left=st.floats(0, 100), top=st.floats(0, 100), width=sides, height=sides)
contents = st.lists(st.tuples(st.sampled_from("ab"), st.none() | boxes), max_size=6)


@given(boxes, boxes)
def test_overlap_is_that_of_coco(one: Box, other: Box) -> None:
    first, second = ([[box.left, box.top, box.width, box.height]] for box in (one, other))
    expected = coco.iou(np.array(first), np.array(second), [0])[0][0]
    assert overlap(one, other) == pytest.approx(expected, abs=1e-9)
    assert overlap(one, other) == pytest.approx(overlap(other, one))


@given(contents)
def test_everything_means_the_same_as_itself(some: list[Content]) -> None:
    assert unmatched(some, some) == ([], [])


@given(contents, contents)
def test_pairs_are_one_to_one_and_symmetric(some: list[Content], others: list[Content]) -> None:
    left, right = unmatched(some, others)
    assert len(some) - len(left) == len(others) - len(right)
    assert len(unmatched(others, some)[0]) == len(right)
    # Nothing is left over on both sides that could have been paired.
    assert unmatched(left, right) == (left, right)


def test_the_greatest_overlap_is_paired_first() -> None:
    near, far = Box(0, 0, 10, 10), Box(3, 0, 10, 10)
    some: list[Content] = [("cat", far), ("cat", near)]
    assert unmatched(some, [("cat", Box(0, 0, 10, 9))]) == ([("cat", far)], [])


def test_labels_and_boxes_are_different_things() -> None:
    box = Box(0, 0, 10, 10)
    some: list[Content] = [("cat", None), ("cat", box)]
    assert unmatched(some, [("dog", box), ("cat", None)]) == ([("cat", box)], [("dog", box)])
