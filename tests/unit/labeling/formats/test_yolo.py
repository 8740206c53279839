import pytest
import yaml

from sightsmith_labeling.annotations import Box
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.records import FormatError, ImportedImage, Rejection
from sightsmith_labeling.formats.yolo import Yolo
from tests.unit.labeling.formats.exports import image
from tests.unit.labeling.formats.trees import read, written

NAMES = {"data.yaml": "names: [cat, no]"}


def boxes(lines: str, description: str = NAMES["data.yaml"]) -> ImportedImage:
    (found,) = read(Yolo(), {"data.yaml": description, "images/a.jpg": b"", "labels/a.txt": lines})
    assert isinstance(found, ImportedImage)
    return found


def test_lines_are_shares_of_the_image():
    found = boxes("0 0.5 0.5 0.5 0.25\n\n1 0.25 0.5 0.5 1 0.75\n")
    assert found.relative
    assert [(each.label, each.box, each.confidence) for each in found.annotations] == [
        ("cat", Box(0.25, 0.375, 0.5, 0.25), None),
        ("no", Box(0, 0, 0.5, 1), 0.75),
    ]


def test_polygons_become_the_boxes_around_them():
    found = boxes("1 0.25 0.5 0.75 0.5 0.5 1\n" * 2)
    assert [each.box for each in found.annotations] == [Box(0.25, 0.5, 0.5, 0.5)] * 2
    assert [note.code for note in found.notes] == ["WARNING_SHAPE_MADE_A_BOX"]


def test_key_points_after_a_box_are_left_out():
    found = boxes("0 0.5 0.5 0.5 0.5 0.1 0.1 2", "names: {0: cat}\nkpt_shape: [1, 3]")
    assert [each.box for each in found.annotations] == [Box(0.25, 0.25, 0.5, 0.5)]
    assert found.notes == ()


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("2 0.5 0.5 0.5 0.5", "ERROR_MISSING_CLASS_MAP_ID"),
        ("cat 0.5 0.5 0.5 0.5", "ERROR_INVALID_LINE"),
        ("0", "ERROR_INVALID_LINE"),
        ("0 0.5 0.5 0.5", "ERROR_INVALID_LINE"),
        ("0 0.5 x 0.5 0.5", "ERROR_INVALID_BOUNDING_BOX"),
        ("0 0.5 0.5 0.5 0", "ERROR_INVALID_BOUNDING_BOX"),
        ("0 120 80 40 30", "ERROR_INVALID_BOUNDING_BOX"),
    ],
)
def test_a_bad_line_is_named_and_the_others_stay(line, code):
    found = boxes(f"0 0.5 0.5 0.5 0.5\n{line}\n")
    assert len(found.annotations) == 1
    assert [(problem.code, problem.path) for problem in found.problems] == [(code, "labels/a.txt, line 2")]


def test_splits_come_from_data_yaml_whatever_machine_it_is_of():
    files = {
        "data.yaml": "path: /content/set\ntrain: ../good/images\nval: [bad/images]\nnames: {0: cat}",
        **{"good/images/a.jpg": b"", "bad/images/b.jpg": b"", "good/labels/a.txt": "0 .5 .5 1 1", "c.jpg": b""},
    }
    assert [(each.source, each.split, len(each.annotations)) for each in read(Yolo(), files)] == [
        ("b.jpg", Split.TEST, 0),
        ("c.jpg", None, 0),
        ("a.jpg", Split.TRAIN, 1),
    ]


def test_two_images_of_one_name_keep_their_folders():
    found = read(Yolo(), NAMES | {"train/images/a.jpg": b"", "valid/images/a.jpg": b""})
    assert [(each.source, each.split) for each in found] == [
        ("train/images/a.jpg", Split.TRAIN),
        ("valid/images/a.jpg", Split.TEST),
    ]


def test_boxes_without_an_image_are_rejected():
    found = read(Yolo(), NAMES | {"images/a.jpg": b"", "labels/b.txt": "0 .5 .5 1 1"})
    assert [(each.place.file, each.code) for each in found if isinstance(each, Rejection)] == [
        ("labels/b.txt", "ERROR_UNKNOWN_IMAGE")
    ]


def test_folders_are_labels_where_nothing_names_classes():
    found = read(Yolo(), {"set/train/cat/a.jpg": b"", "set/val/dog/deep/b.jpg": b""})
    assert [(each.source, each.split, [label.label for label in each.annotations]) for each in found] == [
        ("a.jpg", Split.TRAIN, ["cat"]),
        ("deep/b.jpg", Split.TEST, ["dog"]),
    ]


def test_numbers_without_names_are_no_data_set():
    with pytest.raises(FormatError, match=r"data\.yaml"):
        read(Yolo(), {"images/a.jpg": b"", "labels/a.txt": "0 .5 .5 1 1"})


BOX = Box(0, 0, 10, 10)


@pytest.mark.parametrize(
    "images",
    [
        [image("a.jpg", ("cat", BOX)), image("b.jpg", ("cat", None))],
        [image("a.jpg", ("cat", BOX), ("cat", None))],
        [image("a.jpg", ("cat", None), ("dog", None))],
        [image("a.jpg", ("cat/dog", None))],
        [image("a.jpg", ("..", None))],
        [image("a.jpg", ("cat", BOX), size=None)],
        [image("a.jpg", ("cat", BOX)), image("a.png", ("cat", BOX))],
    ],
)
def test_what_yolo_cannot_say_is_refused_and_not_dropped(images):
    with pytest.raises(FormatError) as refusal:
        written(Yolo(), images)
    assert refusal.value.code == "ERROR_FORMAT_CANNOT_EXPRESS"


def test_data_yaml_has_the_keys_that_ultralytics_wants():
    content = yaml.safe_load(written(Yolo(), [image("a.jpg", ("no", BOX))], ["1", "no"])["data.yaml"])
    assert content == {"train": "train.txt", "val": "train.txt", "names": {0: "1", 1: "no"}}
