"""Pasted objects look like what their boxes say, and cover nothing that is labelled."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sightsmith_training.engine.detection.labelled_objects import LabelledObjects
from sightsmith_training.engine.detection.labelling import Labelling
from sightsmith_training.engine.detection.scenes import Scenes, Variety

from .shapes import COLOURS, draw_shapes

_SIDE = 96
_CORNER = st.integers(0, 86)


@given(st.lists(st.tuples(_CORNER, _CORNER), max_size=3), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_no_labelled_box_and_no_ignored_place_is_covered(corners, seed):
    squares, labellings = draw_shapes(6, _SIDE)
    boxes = np.array([[x, y, x + 10, y + 10] for x, y in corners], np.float32).reshape(-1, 4) / _SIDE
    before = Labelling(boxes[1:], np.zeros(len(boxes[1:]), np.intp), boxes[:1])
    canvas = Image.new("RGB", (_SIDE, _SIDE))
    objects = LabelledObjects(squares, labellings, np.arange(6))
    after = objects.paste(canvas, before, (_SIDE / 2, _SIDE / 2), np.random.default_rng(seed))
    pixels = np.asarray(canvas)
    for left, top, right, bottom in (boxes * _SIDE).round().astype(int):
        assert not pixels[top:bottom, left:right].any()
    assert np.array_equal(after.boxes[: len(before.boxes)], before.boxes)
    for box, label in list(zip(after.boxes * _SIDE, after.labels, strict=True))[len(before.boxes) :]:
        left, top, right, bottom = box.round().astype(int)
        middle = pixels[(top + bottom) // 2, (left + right) // 2].astype(int)
        assert np.abs(middle - COLOURS[label]).max() < 10


def test_objects_of_images_that_judge_are_never_pasted():
    squares, labellings = draw_shapes(20, _SIDE)
    labellings = [Labelling(each.boxes, np.array([row])) for row, each in enumerate(labellings)]
    scenes = Scenes(
        squares, labellings, Variety(paste=1), 0, objects=LabelledObjects(squares, labellings, np.arange(5))
    )
    pictures = [scenes.picture(19, _SIDE, 1, np.random.default_rng(seed))[1] for seed in range(40)]
    pasted = {label for picture in pictures for label in picture.labels.tolist()} - {19}
    assert pasted == set(range(5))


def test_without_objects_nothing_is_pasted():
    canvas, nothing = Image.new("RGB", (_SIDE, _SIDE)), Labelling(np.empty((0, 4), np.float32), np.empty(0, np.intp))
    objects = LabelledObjects(np.zeros((1, 8, 8, 3), np.uint8), [nothing], np.arange(1))
    assert not len(objects.paste(canvas, nothing, (_SIDE, _SIDE), np.random.default_rng(0)).boxes)
