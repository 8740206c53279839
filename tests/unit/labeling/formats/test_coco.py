import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightsmith_labeling.annotations import Box
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats import json_elements
from sightsmith_labeling.formats.coco import Coco
from sightsmith_labeling.formats.json_elements import elements
from sightsmith_labeling.formats.records import FormatError, ImportedImage, Rejection
from tests.unit.labeling.formats.trees import LIMITS, read

IMAGE = {"id": 7, "file_name": "a.jpg", "width": 100, "height": 50}
CATEGORIES = [{"id": 3, "name": "cat"}, {"id": 90, "name": "dog"}]


def annotation(**changes):
    return {"id": 1, "image_id": 7, "category_id": 3, "bbox": [1.5, 2, 3, 4]} | changes


def coco(*annotations, images=(IMAGE,), categories=CATEGORIES):
    return {"a.json": json.dumps({"annotations": annotations, "images": images, "categories": categories})}


def test_lists_in_any_order_are_joined():
    (image,) = read(Coco(), coco(annotation(), annotation(category_id=90, bbox=[0, 0, 100, 50])))
    assert [(each.label, each.box) for each in image.annotations] == [
        ("cat", Box(1.5, 2, 3, 4)),
        ("dog", Box(0, 0, 100, 50)),
    ]
    assert (image.source, image.width, image.height, image.split) == ("a.jpg", 100, 50, None)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"category_id": 4}, "ERROR_MISSING_CLASS_MAP_ID"),
        ({"category_id": None}, "ERROR_MISSING_CLASS_MAP_ID"),
        ({"bbox": [1, 2, 3]}, "ERROR_INVALID_BOUNDING_BOX"),
        ({"bbox": [1, 2, 3, "x"]}, "ERROR_INVALID_BOUNDING_BOX"),
        ({"bbox": [1, 2, 0, 4]}, "ERROR_INVALID_BOUNDING_BOX"),
        ({"bbox": [90, 2, 20, 4]}, "ERROR_INVALID_BOUNDING_BOX"),
        ({"bbox": [float("nan"), 2, 20, 4]}, "ERROR_INVALID_BOUNDING_BOX"),
        ({"bbox": None, "segmentation": {"counts": "x", "size": [50, 100]}}, "ERROR_INVALID_BOUNDING_BOX"),
    ],
)
def test_a_bad_annotation_is_named_and_the_others_stay(changes, code):
    (image,) = read(Coco(), coco(annotation(id=41, **changes), annotation(), annotation(id=42, **changes)))
    assert [each.box for each in image.annotations] == [Box(1.5, 2, 3, 4)]
    assert [(problem.code, problem.path) for problem in image.problems] == [
        (code, "annotations[0]"),
        (code, "annotations[2]"),
    ]


def test_what_has_no_image_is_rejected_with_its_place():
    images = (IMAGE, IMAGE | {"file_name": "again.jpg"}, {"id": 8}, "x", {"id": 9, "file_name": "b\0.jpg"})
    found = read(Coco(), coco(annotation(image_id=99), annotation(image_id=None), images=images))
    rejections = {each.path: each.code for each in found if isinstance(each, Rejection)}
    assert rejections == {
        "images[1]": "ERROR_DUPLICATE_IMAGE_ID",
        "images[2]": "ERROR_MISSING_SOURCE_REF",
        "images[3]": "ERROR_INVALID_ENTRY",
        "images[4]": "ERROR_INVALID_SOURCE_REF_FORMAT",
        "annotations[0]": "ERROR_UNKNOWN_IMAGE",
        "annotations[1]": "ERROR_INVALID_ENTRY",
    }
    assert [each.source for each in found if isinstance(each, ImportedImage)] == ["a.jpg"]


@pytest.mark.parametrize("key", ["image_id", "category_id"])
def test_whole_fractions_are_ids(key):
    images, categories = ({**IMAGE, "id": 7.0},), [{"id": 3.0, "name": "cat"}]
    (image,) = read(Coco(), coco(annotation(), images=images, categories=categories))
    assert [each.label for each in image.annotations] == ["cat"]
    (image,) = read(Coco(), coco(annotation(**{key: float(annotation()[key])})))
    assert [each.label for each in image.annotations] == ["cat"]


@pytest.mark.parametrize("id_", [7.5, float("nan"), float("inf"), True, None])
def test_images_that_are_all_rejected_are_told_of(id_):
    found = read(Coco(), coco(images=({**IMAGE, "id": id_}, {**IMAGE, "id": id_})))
    assert [(each.code, each.path) for each in found] == [
        ("ERROR_INVALID_ENTRY", "images[0]"),
        ("ERROR_INVALID_ENTRY", "images[1]"),
    ]


def test_no_images_at_all_are_no_import():
    with pytest.raises(FormatError) as refusal:
        read(Coco(), coco(annotation(), images=()))
    assert refusal.value.code == "ERROR_EMPTY_MANIFEST"


def test_crowds_are_left_out_and_polygons_become_boxes():
    crowd = annotation(iscrowd=1, segmentation={"counts": [1], "size": [50, 100]})
    polygon = annotation(bbox=[], segmentation=[[10, 5, 20, 5, 20, 30], [12, 3, 13, 4, 15, 5]])
    both = annotation(segmentation=[[10, 5, 20, 5, 20, 30]])
    (image,) = read(Coco(), coco(crowd, polygon, both, polygon))
    assert [each.box for each in image.annotations] == [Box(10, 3, 10, 27), Box(1.5, 2, 3, 4), Box(10, 3, 10, 27)]
    assert [note.code for note in image.notes] == ["WARNING_CROWD_ANNOTATION", "WARNING_SHAPE_MADE_A_BOX"]
    assert image.problems == ()


def test_an_annotation_without_a_box_is_a_label_of_the_whole_image():
    without = {"id": 2, "image_id": 7, "category_id": 90}
    (image,) = read(Coco(), coco(annotation(bbox=[]), without, without))
    assert [(each.label, each.box) for each in image.annotations] == [("cat", None), ("dog", None)]


def test_splits_come_from_names_and_images_are_found_in_the_tree():
    content = coco(annotation())["a.json"]
    files = {
        "set/annotations/instances_train2017.json": content,
        "set/annotations/instances_val2017.json": content,
        "set/annotations/captions_val2017.json": "[1]",
        "set/train2017/a.jpg": b"",
        "set/val2017/a.jpg": b"",
    }
    assert [(image.split, image.file) for image in read(Coco(), files)] == [
        (Split.TRAIN, "set/train2017/a.jpg"),
        (Split.TEST, "set/val2017/a.jpg"),
    ]


def test_an_element_that_is_too_long_is_skipped():
    long = annotation(segmentation=["}]" + 'x"\\' * LIMITS.line_characters])
    (image, rejection) = read(Coco(), coco(long, annotation()))
    assert len(image.annotations) == 1
    assert (rejection.code, rejection.path) == ("ERROR_VALUE_TOO_LONG", "annotations[0]")


def test_two_categories_of_one_id_leave_no_telling_which():
    with pytest.raises(FormatError) as refusal:
        read(Coco(), coco(categories=[*CATEGORIES, {"id": 3, "name": "cow"}]))
    assert refusal.value.code == "ERROR_DUPLICATE_CATEGORY"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(), VALUES, max_size=4), st.booleans(), st.sampled_from([None, 1]), st.integers(1, 40))
def test_elements_are_those_that_the_whole_file_has(content, ascii_only, indent, piece):
    data = json.dumps(content, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    expected = [(key, value) for key, values in content.items() if isinstance(values, list) for value in values]
    usual = json_elements._PIECE
    json_elements._PIECE = piece  # So small that everything is cut everywhere.
    try:
        found = [(each.list_name, each.value) for each in elements(io.BytesIO(data), "a.json", 10_000)]
    finally:
        json_elements._PIECE = usual
    assert found == expected
