"""Training pictures show what their boxes say, and depend on nothing but their place."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightsmith_training.engine.detection.labelling import Labelling
from sightsmith_training.engine.detection.scenes import Scenes, Variety

from .shapes import draw_shapes

_SIDE = 96


def _coloured(pixels, label):
    """Where a picture is clearly red (0) or blue (1)."""
    wide = pixels.astype(int)
    return wide[..., 2 * label] - wide[..., 2 - 2 * label] > 60


@pytest.mark.parametrize(
    ("variety", "share"),
    [(Variety(zoom=1), 1), (Variety(zoom=1, flip=True), 1), (Variety(), 0.5)],
    ids=["zoom", "flip", "part"],
)
def test_boxes_follow_their_objects(variety, share):
    squares, labellings = draw_shapes(24, _SIDE)
    scenes = Scenes(squares, labellings, variety, seed=1)
    checked = 0
    for image in range(24):
        pixels, labelling = scenes.picture(image, _SIDE, share, np.random.default_rng(image))
        assert pixels.shape == (_SIDE, _SIDE, 3)
        for box, label in zip(labelling.boxes * _SIDE, labelling.labels, strict=True):
            left, top, right, bottom = box.round().astype(int)
            inside = _coloured(pixels, label)[top + 1 : bottom - 1, left + 1 : right - 1]
            assert inside.mean() > 0.9
            checked += 1
    assert checked >= 6


def test_the_whole_image_keeps_its_box():
    squares, labellings = draw_shapes(1, _SIDE)
    scenes = Scenes(squares, labellings, Variety(zoom=0, light=0), seed=1)
    pixels, labelling = scenes.picture(0, _SIDE, 1, np.random.default_rng(0))
    assert np.array_equal(pixels, squares[0])
    assert np.array_equal(labelling.boxes, labellings[0].boxes)


@given(st.floats(0.2, 0.8), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_a_part_around_a_box_shows_all_of_it(share, seed):
    squares, labellings = draw_shapes(1, _SIDE)
    scenes = Scenes(squares, labellings, Variety(focus=1, stretch=1), seed=1)
    _, labelling = scenes.picture(0, 64, share, np.random.default_rng(seed))
    assert len(labelling.boxes) == 1
    (width, height), (seen_width, seen_height) = _sides(labellings[0].boxes), _sides(labelling.boxes)
    assert seen_width / seen_height == pytest.approx(width / height, rel=0.01)


def test_ignored_places_move_with_the_picture():
    squares, labellings = draw_shapes(1, _SIDE)
    (known,) = labellings
    ignored = [Labelling(known.boxes[:0], known.labels[:0], known.boxes)]
    variety = Variety(zoom=1, flip=True)
    for seed in range(8):
        (_, one), (_, other) = (
            Scenes(squares, own, variety, seed=1).picture(0, _SIDE, 1, np.random.default_rng(seed))
            for own in (labellings, ignored)
        )
        assert np.array_equal(one.boxes, other.ignored)
        assert not len(other.boxes)


def _sides(boxes):
    return boxes[0, 2:] - boxes[0, :2]


def test_parts_are_around_decoys_too():
    squares = np.zeros((1, 100, 100, 3), np.uint8)
    squares[0, :20, :20] = 255
    nothing = [Labelling(np.empty((0, 4), np.float32), np.empty(0, np.intp))]
    decoys = [np.array([[0.0, 0.0, 0.2, 0.2]], np.float32)]
    scenes = Scenes(squares, nothing, Variety(focus=1, light=0, window=(1, 1), stretch=1), 0, decoys)
    pixels, labelling = scenes.picture(0, 30, 0.3, np.random.default_rng(0))
    assert (pixels == 255).mean() == pytest.approx((0.2 / 0.3) ** 2, abs=0.05)
    assert not len(labelling.boxes)


def test_a_batch_depends_on_its_place_alone():
    squares, labellings = draw_shapes(4, _SIDE)
    first, again = (Scenes(squares, labellings, Variety(), seed=3).batch([2, 0], 64, 1, 5) for _ in range(2))
    others = Scenes(squares, labellings, Variety(), seed=3).batch([2, 0], 64, 1, 7)
    assert first.pixels.equal(again.pixels)
    assert all(one.boxes.equal(two.boxes) for one, two in zip(first.truths, again.truths, strict=True))
    assert not first.pixels.equal(others.pixels)


def test_every_pass_shows_each_image_as_often_as_asked():
    scenes = Scenes(*draw_shapes(5, 32), Variety(), seed=0)
    draws = np.array([1, 3, 1, 0, 2])
    passes = [scenes.images(7 * pass_, 7, draws) for pass_ in range(3)]
    assert all(np.array_equal(np.bincount(shown, minlength=5), draws) for shown in passes)
    assert any(one != two for one, two in pairwise(passes))


@given(st.integers(0, 40), st.integers(1, 20))
@settings(max_examples=40, deadline=None)
def test_pictures_have_the_same_images_however_they_are_asked_for(first, count):
    scenes = Scenes(*draw_shapes(5, 32), Variety(), seed=0)
    draws = np.array([1, 3, 1, 0, 2])
    one_by_one = [scenes.images(number, 1, draws)[0] for number in range(first, first + count)]
    assert scenes.images(first, count, draws) == one_by_one
