"""Training pictures show what their boxes say, and depend on nothing but their place."""

from itertools import pairwise

import numpy as np
import pytest

from sightsmith_training.engine.detection.scenes import Scenes, Variety

from .shapes import draw_shapes

_SIDE = 96


def _coloured(pixels, label):
    """Where a picture is clearly red (0) or blue (1)."""
    wide = pixels.astype(int)
    return wide[..., 2 * label] - wide[..., 2 - 2 * label] > 60


@pytest.mark.parametrize(
    "variety",
    [Variety(zoom=1), Variety(zoom=1, flip=True), Variety(zoom=1, window=(0.4, 0.6)), Variety(mosaic=1)],
    ids=["zoom", "flip", "close", "mosaic"],
)
def test_boxes_follow_their_objects(variety):
    squares, labellings = draw_shapes(24, _SIDE)
    scenes = Scenes(squares, labellings, variety, seed=1)
    checked = 0
    for image in range(24):
        pixels, labelling = scenes.picture(image, _SIDE, np.random.default_rng(image))
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
    pixels, labelling = scenes.picture(0, _SIDE, np.random.default_rng(0))
    assert np.array_equal(pixels, squares[0])
    assert np.array_equal(labelling.boxes, labellings[0].boxes)


def test_a_batch_depends_on_its_place_alone():
    squares, labellings = draw_shapes(4, _SIDE)
    first, again = (Scenes(squares, labellings, Variety(), seed=3).batch([2, 0], 64, 1, 5) for _ in range(2))
    other_round = Scenes(squares, labellings, Variety(), seed=3).batch([2, 0], 64, 2, 5)
    assert first.pixels.equal(again.pixels)
    assert all(one.boxes.equal(two.boxes) for one, two in zip(first.truths, again.truths, strict=True))
    assert not first.pixels.equal(other_round.pixels)


def test_a_round_sees_every_image_as_often_as_asked():
    scenes = Scenes(*draw_shapes(5, 32), Variety(), seed=0)
    draws = np.array([1, 3, 1, 0, 2])
    rounds = [scenes.order(round_, draws) for round_ in range(3)]
    assert all(np.array_equal(np.bincount(order, minlength=5), draws) for order in rounds)
    assert any(not np.array_equal(one, two) for one, two in pairwise(rounds))
