"""The side of the input follows from the boxes; the number of steps from the time and the images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightsmith_training.engine.detection.design import (
    Design,
    affordable_side,
    enlarged,
    larger_side,
    possible_sides,
    suitable_side,
    tiny_boxes,
)
from sightsmith_training.engine.detection.labelling import Labelling
from sightsmith_training.engine.detection.pace import LEAST_STEPS, Pace, step_cost
from sightsmith_training.engine.specification import DetectorLimits


def _boxes(side):
    """Twenty boxes with sides of this share of the image."""
    box = np.array([[0.2, 0.2, 0.2 + side, 0.2 + side]], np.float32)
    return [Labelling(box, np.array([0]))] * 20


@pytest.mark.parametrize(
    ("box", "preference", "side"),
    [
        (0.3, "balanced", 416),
        (0.3, "speed", 320),
        (0.3, "accuracy", 512),
        (0.042, "balanced", 512),
        (0.02, "balanced", 640),
        (0.02, "speed", 416),
        (0.02, "accuracy", 1280),
        (0.013, "balanced", 960),
        (0.0075, "balanced", 1280),
        (0.0001, "speed", 1280),
    ],
)
def test_tiny_boxes_get_a_larger_side(box, preference, side):
    assert suitable_side(_boxes(box), 1280, preference) == side


@pytest.mark.parametrize(
    ("boxes", "preference", "enlargement"),
    [
        (_boxes(0.005), "balanced", 2),
        (_boxes(0.005), "speed", 1),
        (_boxes(0.0075), "accuracy", 1),
        ([*_boxes(0.005), *_boxes(0.3)], "balanced", 1),
        ([], "balanced", 1),
    ],
    ids=["tiny", "tiny, quickly", "small", "tiny beside larger than can be told", "nothing"],
)
def test_what_is_tiny_at_the_largest_side_is_seen_enlarged(boxes, preference, enlargement):
    design = enlarged(Design(1280), boxes, preference)
    assert design.enlargement == enlargement
    assert design.recipe(1).side == design.seen_side == design.side * enlargement
    assert ("in tiles" in design.name) == (f"{design.side}x2" in design.key) == (enlargement == 2)


def test_no_side_is_larger_than_the_images_at_hand():
    assert suitable_side(_boxes(0.01), 512, "accuracy") == 512
    assert possible_sides(100) == [96]
    assert suitable_side([], 640, "balanced") == 416


def test_sides_are_bounded_by_disk_space_and_by_wish():
    limits = DetectorLimits(largest_side=1280, decoded_bytes=3 * 1000**2 * 50)
    assert [affordable_side(images, limits) for images in (0, 1, 50, 10_000)] == [1280, 1280, 1000, 640]
    assert affordable_side(10_000, DetectorLimits(largest_side=512)) == 512


def test_boxes_below_eight_pixels_of_the_input_are_tiny():
    boxes = np.array([[0, 0, 0.01, 0.01], [0.5, 0.5, 0.506, 0.53], [0.1, 0.1, 0.4, 0.4]], np.float32)
    labellings = [Labelling(boxes, np.array([1, 1, 0])), Labelling(boxes[:0], np.array([], np.intp))]
    # Of the second one the area counts: it is as large as a square with sides of 0.0134.
    assert tiny_boxes(labellings, 3, 416).counts == [0, 2, 0]
    assert tiny_boxes(labellings, 3, 640).counts == [0, 1, 0]
    assert tiny_boxes(labellings, 3, 1280).counts == [0, 0, 0]
    assert tiny_boxes(labellings, 3, 416, enlargement=2).counts == [0, 0, 0]
    assert tiny_boxes(labellings, 3, 320, enlargement=2).counts == [0, 1, 0]
    assert "smaller than 4 pixels" in tiny_boxes(labellings, 3, 320, enlargement=2).text
    assert tiny_boxes(labellings, 3, 416).boxes == 3
    assert "2 of 3 training boxes are smaller than 8 pixels" in tiny_boxes(labellings, 3, 416).text
    assert tiny_boxes([], 2, 416).counts == [0, 0]


def test_a_next_larger_side_is_found_unless_there_is_none():
    assert [larger_side(side, 640) for side in (320, 416, 640)] == [416, 512, 640]


def test_training_on_a_very_large_side_costs_no_more_than_on_a_large_one():
    assert Design(1280).recipe(1).last_part == Design(640).recipe(1).last_part == 640
    assert step_cost(Design(1280).recipe(1)) == step_cost(Design(640).recipe(1))


def test_a_larger_side_costs_more():
    assert Design(640).milliseconds > Design(416).milliseconds
    assert step_cost(Design(640).recipe(1)) > step_cost(Design(416).recipe(1))


def test_frozen_stages_cost_less():
    costs = [step_cost(Design(416, frozen=frozen).recipe(1)) for frozen in range(3)]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > 1


@given(st.floats(1, 1e5), st.floats(1e-3, 10), st.integers(1, 10_000))
def test_steps_keep_to_the_time_and_to_what_is_of_use(seconds, step_seconds, images):
    recipe = Design(416).recipe(1)
    steps = Pace(seconds, step_seconds).steps(0.5, recipe, images)
    assert steps >= LEAST_STEPS
    if steps > LEAST_STEPS:
        assert steps * step_seconds * step_cost(recipe) <= 0.5 * seconds
        assert steps * recipe.batch <= 120 * images


def test_a_slightly_slower_machine_trains_as_many_steps():
    recipe = Design(416).recipe(1)
    assert Pace(330, 0.19).steps(1, recipe, 300) == Pace(330, 0.195).steps(1, recipe, 300)


def test_a_pace_is_kept(tmp_path):
    Pace(330.5, 0.21).save(tmp_path / "pace.json")
    assert Pace.load(tmp_path / "pace.json") == Pace(330.5, 0.21)


@pytest.mark.parametrize("content", [b"", b'{"seconds": 33', b"{}", b"7", b"\xff\x00"])
def test_a_damaged_pace_is_as_good_as_none(tmp_path, content):
    file = tmp_path / "pace.json"
    assert Pace.load(file) is None
    file.write_bytes(content)
    assert Pace.load(file) is None
