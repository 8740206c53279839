import io

import numpy as np
import pytest
from PIL import Image

from sightsmith.images import ImageError, ImageLimits
from sightsmith_training.engine.judging.matches import Outcome
from sightsmith_training.engine.reports.image_outcomes import Judged
from sightsmith_training.engine.reports.overlay import draw_overlay
from tests.unit.training_engine.reports.cases import jpeg

BOX = (80.0, 120.0, 240.0, 200.0)
RIGHT, WRONG, MISSED = Outcome.TRUE_POSITIVE, Outcome.FALSE_POSITIVE, Outcome.FALSE_NEGATIVE


def drawn(judged, *, width=320, height=240, image=None, labels=("bolt",)) -> np.ndarray:
    picture = Image.open(io.BytesIO(draw_overlay(image or jpeg(width, height), width, height, judged, labels)))
    assert picture.format == "PNG"
    return np.asarray(picture.convert("RGB")).astype(int)


def colour_share(picture: np.ndarray, colour: tuple[int, int, int], where: tuple[slice, slice]) -> float:
    return float((np.abs(picture[where] - colour).max(axis=-1) < 40).mean())


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(64, 64, (480, 480)), (320, 240, (640, 480)), (1000, 800, (1000, 800)), (4096, 2048, (2048, 1024))],
)
def test_pictures_are_large_enough_for_words_and_no_larger_than_needed(width, height, expected) -> None:
    picture = drawn([Judged(0, WRONG, 0.9, predicted=(1, 1, 30, 30))], width=width, height=height)
    assert picture.shape[1::-1] == expected


def test_an_image_as_thin_as_can_be_is_not_blown_up_without_end() -> None:
    assert max(drawn([], width=2000, height=10).shape) == 2048


def test_a_labelled_line_is_solid_and_a_predicted_one_dashed() -> None:
    bottom = slice(398, 403), slice(170, 470)  # The lower edge of the box, in a picture of twice the size.
    solid = drawn([Judged(0, MISSED, 0.0, labelled=BOX)])
    dashed = drawn([Judged(0, WRONG, 0.9, predicted=BOX)])
    amber, red = (230, 145, 0), (214, 39, 40)
    whole, pieces = colour_share(solid, amber, bottom), colour_share(dashed, red, bottom)
    assert whole > 0.3
    assert 0.3 * whole < pieces < 0.9 * whole


def test_boxes_of_a_found_object_are_both_drawn_in_green() -> None:
    moved = tuple(side + 30 for side in BOX)
    picture = drawn([Judged(0, RIGHT, 0.9, labelled=BOX, predicted=moved, iou=0.6)])
    green = (27, 158, 75)
    assert colour_share(picture, green, (slice(240, 400), slice(158, 163))) > 0.3
    assert colour_share(picture, green, (slice(300, 460), slice(218, 223))) > 0.1


def test_what_the_model_does_not_see_has_no_dashed_box() -> None:
    unseen = Judged(0, MISSED, 0.0, labelled=BOX)
    nearly = Judged(0, MISSED, 0.2, labelled=BOX, predicted=(10.0, 10.0, 60.0, 60.0))
    corner = slice(10, 130), slice(10, 130)
    assert np.ptp(drawn([unseen])[corner]) == 0
    assert np.ptp(drawn([nearly])[corner]) > 0


def test_labels_of_the_whole_image_stand_below_it() -> None:
    one = drawn([Judged(0, RIGHT, 0.9)])
    two = drawn([Judged(0, WRONG, 0.9), Judged(0, MISSED, 0.1)])
    assert 480 < one.shape[0] < two.shape[0]
    assert np.ptp(one[:480]) == 0
    assert np.ptp(two[480:]) > 200


def test_a_box_at_the_edge_has_its_words_in_the_picture() -> None:
    edge = Judged(0, WRONG, 0.9, predicted=(310.0, 0.0, 320.0, 20.0))
    picture = drawn([edge], labels=("a rather long name",))
    assert colour_share(picture, (214, 39, 40), (slice(0, 30), slice(440, 640))) > 0.3


def test_names_of_any_script_and_images_of_any_kind() -> None:
    labels = ("Schraube Ü", "螺栓\nM6")
    judged = [Judged(0, RIGHT, 1.0), Judged(1, MISSED, 0.0)]
    for kind in ("JPEG", "PNG", "WEBP"):
        assert drawn(judged, image=jpeg(320, 240, kind=kind), labels=labels).shape[0] > 480


def test_the_same_picture_for_the_same_image() -> None:
    judged = [Judged(0, RIGHT, 0.9, labelled=BOX, predicted=BOX, iou=1.0)]
    assert draw_overlay(jpeg(320, 240), 320, 240, judged, ["bolt"]) == draw_overlay(
        jpeg(320, 240), 320, 240, judged, ["bolt"]
    )


def test_an_image_of_unknown_size_without_boxes() -> None:
    assert draw_overlay(jpeg(320, 240), 0, 0, [Judged(0, RIGHT, 0.9)], ["bolt"])


def test_pixels_are_those_that_the_model_saw() -> None:
    """16 bits a sample are not clipped to white, and what is transparent lies over white."""
    grey = Image.fromarray(np.full((480, 640), 0x8000, dtype=np.uint16))
    assert np.abs(drawn([], image=encoded(grey)) - 128).max() <= 1
    clear = Image.new("RGBA", (640, 480), (0, 0, 0, 0))
    assert drawn([], image=encoded(clear)).min() == 255


def test_an_image_beyond_the_limits_is_not_decoded() -> None:
    with pytest.raises(ImageError) as raised:
        draw_overlay(jpeg(320, 240), 320, 240, [], [], ImageLimits(max_pixels=320 * 240 - 1))
    assert raised.value.reason == "IMAGE_TOO_LARGE"


def encoded(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
