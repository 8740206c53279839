"""Composed scenes show logos where their boxes say, and backgrounds elsewhere."""

import numpy as np
import pytest
from PIL import Image

from sightsmith_training.engine.detection.backgrounds import draw_background, draw_texture
from sightsmith_training.engine.detection.composing import Logos, compose_scene
from sightsmith_training.engine.detection.cutting_out import Logo, cut_out
from sightsmith_training.engine.detection.pasting import seen_from_aside

_SIDE = 128


def _on_margin(colour, margin=(255, 255, 255)):
    """A rectangle of one colour on a wide margin of another; the picture was squashed from twice its width."""
    picture = np.full((60, 60, 4), [*margin, 255], np.uint8)
    picture[20:40, 15:45] = [*colour, 255]
    return picture


def _transparent(colour):
    picture = np.zeros((60, 60, 4), np.uint8)
    picture[15:45, 10:50] = [*colour, 255]
    return picture


_RED, _BLUE, _DARK = (230, 20, 20), (20, 20, 230), (20, 20, 200)
_LOGOS = Logos([_on_margin(_RED), _transparent(_BLUE), _transparent(_DARK)], [2.0, 1.0, 1.0], [0, 1, 1])
_GREY = [np.full((80, 80, 3), 120, np.uint8)] * 50


def _scene(number, side=_SIDE, seed=3, backgrounds=_GREY):
    return compose_scene(_LOGOS, backgrounds, side, np.random.default_rng([seed, number]))


def _colourful(pixels, label):
    wide = pixels.astype(int)
    return wide[..., 2 * label] - wide[..., 2 - 2 * label] > 40


@pytest.fixture(scope="module")
def scenes():
    return [_scene(number) for number in range(60)]


def _boxes(labelling, side=_SIDE):
    return (labelling.boxes * side).round().astype(int)


def test_boxes_are_where_logos_are(scenes):
    for square, labelling in scenes:
        for (left, top, right, bottom), label in zip(_boxes(labelling), labelling.labels, strict=True):
            assert _colourful(square, label)[top:bottom, left:right].mean() > 0.3


def test_boxes_fit_tightly(scenes):
    """The edges of a box touch the colour of its logo, be there a plate around it or not."""
    checked = 0
    for square, labelling in scenes:
        for (left, top, right, bottom), label in zip(_boxes(labelling), labelling.labels, strict=True):
            if min(right - left, bottom - top) < 20:
                continue
            inside = _colourful(square, label)[top:bottom, left:right]
            assert inside[:, :4].any()
            assert inside[:, -4:].any()
            assert inside[:4].any()
            assert inside[-4:].any()
            checked += 1
    assert checked > 10


def test_scenes_differ_in_number_label_and_size(scenes):
    assert {len(labelling.labels) for _, labelling in scenes} == {0, 1, 2, 3}
    labels = np.concatenate([labelling.labels for _, labelling in scenes])
    assert 0.3 < (labels == 0).mean() < 0.7  # Although label 1 has twice as many pictures.
    boxes = np.concatenate([labelling.boxes for _, labelling in scenes])
    longest = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    assert longest.min() < 0.15
    assert longest.max() > 0.4
    assert (boxes >= 0).all()
    assert (boxes <= 1).all()


def test_boxes_of_a_scene_do_not_overlap(scenes):
    for _, labelling in scenes:
        for place, one in enumerate(labelling.boxes):
            for other in labelling.boxes[place + 1 :]:
                apart = (one[2:] <= other[:2]) | (other[2:] <= one[:2])
                assert apart.any()


def test_a_scene_depends_on_its_random_numbers_alone():
    assert np.array_equal(_scene(1, 64, backgrounds=[])[0], _scene(1, 64, backgrounds=[])[0])
    assert not np.array_equal(_scene(1, 64)[0], _scene(2, 64)[0])


def _cut(picture, plate=None):
    return cut_out(Image.fromarray(picture), plate)


@pytest.mark.parametrize("picture", [_on_margin(_RED), _on_margin((10, 10, 10), (240, 238, 245)), _transparent(_BLUE)])
def test_margins_go(picture):
    logo = _cut(picture)
    opaque = np.argwhere(picture[..., :3].min(axis=2) < 200)
    assert logo.pixels.getchannel("A").getextrema() == (255, 255)
    assert len(opaque) >= logo.pixels.width * logo.pixels.height > 500


def test_holes_of_the_margins_colour_stay():
    picture = _on_margin(_RED)
    picture[28:32, 25:35] = 255
    assert _cut(picture).pixels.getchannel("A").getextrema() == (255, 255)


def test_a_plate_is_around_the_logo_and_shows_where_it_is_free():
    picture = _on_margin(_RED)
    picture[20:30, 15:30] = 255
    cut, plate = _cut(picture), _cut(picture, plate=0.5)
    assert cut.pixels.size == cut.shape.size == (30, 20)
    assert np.asarray(cut.pixels)[0, 0, 3] == 0
    assert plate.pixels.size == plate.shape.size == (60, 50)
    assert np.asarray(plate.pixels)[0, 0].tolist() == [255, 255, 255, 255]
    shape = np.asarray(plate.shape)
    assert shape.sum() == 255 * (20 * 30 - 10 * 15)
    assert (shape[15:35, 15:45] == np.asarray(cut.shape)).all()


def test_a_picture_without_margin_is_all_logo():
    busy = np.random.default_rng(0).integers(0, 256, (30, 40, 4), dtype=np.uint8)
    busy[..., 3] = 255
    logo = _cut(busy)
    assert logo.pixels.size == (40, 30)
    assert np.asarray(logo.shape)[0, 0] == 0
    assert np.asarray(logo.shape)[15, 20] == 255
    plain = np.full((30, 40, 4), 255, np.uint8)
    assert _cut(plain, plate=0.1).pixels.size == (40, 30)


@pytest.mark.parametrize("size", [(1, 1), (400, 3), (30, 40)])
def test_anything_can_be_pasted_anywhere(size):
    random = np.random.default_rng(0)
    logo = Logo(Image.new("RGBA", size, "red"), Image.new("L", size, 255))
    for _ in range(50):
        seen = seen_from_aside(logo, _SIDE, (0.05, 0.6), random)
        left, top, right, bottom = seen.covered
        assert 0 <= left < right <= _SIDE
        assert 0 <= top < bottom <= _SIDE
        assert seen.shape.size == seen.pixels.size == (right - left, bottom - top)


def test_pictures_are_backgrounds_and_textures_stand_in_for_missing_ones():
    random = np.random.default_rng(0)
    grey = [np.asarray(draw_background(_GREY, 32, random)).std() < 1 for _ in range(50)]
    assert 0.8 < np.mean(grey) < 1
    assert all(np.asarray(draw_background([], 32, random)).std() > 1 for _ in range(20))


def test_textures_differ():
    one, other = (draw_texture(64, np.random.default_rng(seed)) for seed in (0, 1))
    assert one.shape == (64, 64, 3)
    assert one.std() > 5
    assert not np.array_equal(one, other)
