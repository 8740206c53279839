"""Composed scenes show logos where their boxes say, and backgrounds elsewhere."""

import numpy as np
import pytest

from sightsmith_training.engine.detection.composing import Logos, compose_scenes
from sightsmith_training.engine.detection.cutting_out import cut_out
from sightsmith_training.engine.detection.textures import draw_texture

_SIDE = 128


def _on_margin(colour, margin=(255, 255, 255)):
    """A square of one colour on a wide margin of another."""
    picture = np.full((60, 90, 3), margin, np.uint8)
    picture[20:40, 30:70] = colour
    return picture


def _transparent(colour):
    picture = np.zeros((50, 50, 4), np.uint8)
    picture[10:30, 5:45] = [*colour, 255]
    return picture


_LOGOS = Logos([_on_margin((230, 20, 20)), _transparent((20, 20, 230)), _transparent((20, 20, 200))], [0, 1, 1])
_GREY = [np.full((80, 120, 3), 120, np.uint8)]


def _colourful(pixels, label):
    wide = pixels.astype(int)
    return wide[..., 2 * label] - wide[..., 2 - 2 * label] > 50


@pytest.fixture(scope="module")
def scenes():
    return compose_scenes(_LOGOS, _GREY, 60, _SIDE, seed=3)


def test_boxes_are_where_logos_are(scenes):
    for square, labelling in zip(*scenes, strict=True):
        covered = np.zeros((_SIDE, _SIDE), np.bool_)
        for box, label in zip((labelling.boxes * _SIDE).round().astype(int), labelling.labels, strict=True):
            left, top, right, bottom = box
            assert _colourful(square, label)[top:bottom, left:right].mean() > 0.3
            covered[max(0, top - 3) : bottom + 3, max(0, left - 3) : right + 3] = True
        for label in (0, 1):
            assert _colourful(square, label)[~covered].mean() < 0.002


def test_boxes_fit_tightly(scenes):
    """On the cut out blue logos, which fill their boxes but for a turn, the edges of a box touch the colour."""
    checked = 0
    for square, labelling in zip(*scenes, strict=True):
        boxes = (labelling.boxes * _SIDE).round().astype(int)
        for left, top, right, bottom in boxes[labelling.labels == 1]:
            if min(right - left, bottom - top) < 20:
                continue
            inside = _colourful(square, 1)[top:bottom, left:right]
            assert inside[:, :4].any()
            assert inside[:, -4:].any()
            assert inside[:4].any()
            assert inside[-4:].any()
            checked += 1
    assert checked > 10


def test_scenes_differ_in_number_label_and_size(scenes):
    _, labellings = scenes
    assert {len(labelling.labels) for labelling in labellings} == {0, 1, 2, 3}
    labels = np.concatenate([labelling.labels for labelling in labellings])
    assert 0.3 < (labels == 0).mean() < 0.7  # Although label 1 has twice as many pictures.
    boxes = np.concatenate([labelling.boxes for labelling in labellings])
    longest = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    assert longest.min() < 0.15
    assert longest.max() > 0.4
    assert (boxes >= 0).all()
    assert (boxes <= 1).all()


def test_boxes_of_a_scene_do_not_overlap(scenes):
    for labelling in scenes[1]:
        for place, one in enumerate(labelling.boxes):
            for other in labelling.boxes[place + 1 :]:
                apart = (one[2:] <= other[:2]) | (other[2:] <= one[:2])
                assert apart.any()


def test_a_scene_depends_on_the_seed_and_its_number_alone():
    few, labellings = compose_scenes(_LOGOS, [], 3, 64, seed=1)
    more, _ = compose_scenes(_LOGOS, [], 5, 64, seed=1)
    others, _ = compose_scenes(_LOGOS, [], 3, 64, seed=2)
    assert np.array_equal(few, more[:3])
    assert not np.array_equal(few, others)
    assert len(labellings) == 3


@pytest.mark.parametrize("picture", [_on_margin((230, 20, 20)), _on_margin((10, 10, 10), (240, 238, 245))])
def test_plain_margins_go(picture):
    logo = cut_out(picture, with_plate=False)
    assert logo.size == (40, 20)
    assert np.array_equal(np.asarray(logo)[..., :3], picture[20:40, 30:70])


def test_holes_of_the_margins_colour_stay():
    picture = _on_margin((230, 20, 20))
    picture[28:32, 45:55] = 255
    logo = np.asarray(cut_out(picture, with_plate=False))
    assert (logo[..., 3] == 255).all()


def test_a_plate_fills_what_the_logo_leaves_free():
    picture = _on_margin((230, 20, 20))
    picture[20:30, 30:50] = 255
    cut = np.asarray(cut_out(picture, with_plate=False))
    plate = np.asarray(cut_out(picture, with_plate=True))
    assert cut.shape == plate.shape == (20, 40, 4)
    assert (cut[:10, :20, 3] == 0).all()
    assert (plate[:10, :20] == 255).all()


def test_a_picture_without_margin_is_all_logo():
    busy = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    assert cut_out(busy, with_plate=False).size == (40, 30)
    assert cut_out(np.full((30, 40, 3), 255, np.uint8), with_plate=True).size == (40, 30)


def test_textures_differ():
    one, other = (draw_texture(64, np.random.default_rng(seed)) for seed in (0, 1))
    assert one.shape == (64, 64, 3)
    assert one.std() > 5
    assert not np.array_equal(one, other)
