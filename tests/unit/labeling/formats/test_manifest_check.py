"""The catalogue of what can be wrong with a manifest's line: each code, its place, and all of them at once."""

import copy
import json
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from sightsmith_labeling.formats.manifest_check import Outcome, Use, check_line
from sightsmith_labeling.formats.manifest_codes import CODES
from sightsmith_labeling.formats.manifest_rules import AWS_LIMITS, ManifestRules

COMMON = {"human-annotated": "yes", "creation-date": "2026-01-05T10:00:00"}
LABEL = {
    "source-ref": "s3://shop/1.jpg",
    "grade": 1,
    "grade-metadata": {
        "class-name": "ripe",
        "confidence": 1,
        "type": "groundtruth/image-classification",
        **COMMON,
    },
}
BOXES = {
    "source-ref": "s3://shop/1.jpg",
    "bb": {
        "image_size": [{"width": 640, "height": 480, "depth": 3}],
        "annotations": [
            {"class_id": 0, "left": 10, "top": 20, "width": 100, "height": 50},
            {"class_id": 1, "left": 200, "top": 40, "width": 80, "height": 80},
        ],
    },
    "bb-metadata": {
        "objects": [{"confidence": 1}, {"confidence": 1}],
        "class-map": {"0": "bolt", "1": "washer"},
        "type": "groundtruth/object-detection",
        **COMMON,
    },
}
REMOVED = object()


def changed(line: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A line with other values at some paths, as in `bb__annotations__0__left`; `-metadata` is `_md`."""
    line = copy.deepcopy(line)
    for path, value in changes.items():
        *steps, last = [int(step) if step.isdigit() else step.replace("_md", "-metadata") for step in path.split("__")]
        found: Any = line
        for step in steps:
            found = found[step]
        if value is REMOVED:
            del found[last.replace("_", "-") if isinstance(last, str) and last not in found else last]
        else:
            found[last.replace("_", "-") if isinstance(last, str) and last.replace("_", "-") in found else last] = value
    return line


def check(line: dict[str, Any], rules: ManifestRules | None = None):
    return check_line(json.dumps(line), rules or ManifestRules())


def codes(checked) -> list[str]:
    return [fault.code.name for fault in checked.faults]


def test_sound_lines_have_no_faults():
    for line, use in ((LABEL, Use.IMAGE_LABELS), (BOXES, Use.BOXES), (LABEL | BOXES, Use.IMAGE_LABELS | Use.BOXES)):
        checked = check(line)
        assert checked.faults == ()
        assert checked.outcome is Outcome.VALID
        assert checked.use is use
        assert checked.annotated() == line


METADATA = "ERROR_INVALID_LABEL_ATTRIBUTE_METADATA_FORMAT"
VALUE = "ERROR_INVALID_LABEL_ATTRIBUTE_FORMAT"
UNSUPPORTED = "ERROR_UNSUPPORTED_USE_CASE_TYPE"
NO_CONFIDENCE = "ERROR_MISSING_BOUNDING_BOX_CONFIDENCE"


@pytest.mark.parametrize(
    ("line", "code", "path"),
    [
        (changed(LABEL, grade="ripe"), VALUE, "grade"),
        (changed(LABEL, grade=True), VALUE, "grade"),
        (changed(LABEL, grade_md="ripe"), METADATA, "grade-metadata"),
        (changed(LABEL, grade_md__class_name=REMOVED), METADATA, "grade-metadata"),
        (changed(LABEL, grade_md__confidence=REMOVED), METADATA, "grade-metadata"),
        (changed(LABEL, grade_md__confidence=1.5), METADATA, "grade-metadata"),
        (changed(LABEL, grade_md__confidence=True), METADATA, "grade-metadata"),
        (changed(LABEL, grade_md__type=REMOVED), METADATA, "grade-metadata"),
        (changed(LABEL, grade_md__human_annotated="perhaps"), METADATA, "grade-metadata"),
        (changed(LABEL, grade_md__creation_date="yesterday"), METADATA, "grade-metadata"),
        (changed(LABEL, grade_md__type="groundtruth/semantic-segmentation"), UNSUPPORTED, "grade-metadata"),
        (changed(LABEL, grade_md__class_name="x" * 257), "ERROR_INVALID_LABEL_NAME_LENGTH", "grade-metadata"),
        (changed(LABEL, grade_md__class_name="a\nb"), "ERROR_INVALID_LABEL_NAME", "grade-metadata"),
        (changed(BOXES, bb=5), VALUE, "bb"),
        (changed(BOXES, bb__image_size={"width": 640, "height": 480, "depth": 3}), VALUE, "bb"),
        (changed(BOXES, bb__image_size=[]), VALUE, "bb"),
        (changed(BOXES, bb__image_size__0__depth=REMOVED), VALUE, "bb"),
        (changed(BOXES, bb__image_size__0__width=6.5), VALUE, "bb"),
        (changed(BOXES, bb__annotations={}), VALUE, "bb"),
        (changed(BOXES, bb__annotations__0__left=REMOVED), VALUE, "bb"),
        (changed(BOXES, bb__annotations__0__top="20"), VALUE, "bb"),
        (changed(BOXES, bb__annotations__1__class_id=REMOVED), VALUE, "bb"),
        (changed(BOXES, bb_md__objects=[{"confidence": 1}]), NO_CONFIDENCE, "bb-metadata"),
        (changed(BOXES, bb_md__objects=[{"confidence": 1}, {}]), NO_CONFIDENCE, "bb-metadata"),
        (changed(BOXES, bb_md__objects=[{"confidence": 1}] * 3), METADATA, "bb-metadata"),
        (changed(BOXES, bb_md__objects=7), METADATA, "bb-metadata"),
        (changed(BOXES, bb_md={**BOXES["bb-metadata"], "class-map": []}), METADATA, "bb-metadata"),
        (
            changed(BOXES, bb_md={**BOXES["bb-metadata"], "class-map": {"0": "bolt"}}),
            "ERROR_MISSING_CLASS_MAP_ID",
            "bb-metadata",
        ),
    ],
)
def test_a_fault_of_an_attribute_costs_that_attribute(line, code, path):
    alone = check(line)
    assert (alone.faults[0].code.name, alone.faults[0].path) == (code, path)
    assert codes(alone)[-1] == "ERROR_NO_VALID_LABEL_ATTRIBUTES"
    assert alone.outcome is Outcome.INVALID
    assert alone.image.annotations == ()
    # Beside another attribute the line goes on without it.
    sound = {"other": 1, "other-metadata": LABEL["grade-metadata"]}
    beside = check(line | sound)
    assert beside.outcome is Outcome.VALID
    assert [annotation.label for annotation in beside.image.annotations] == ["ripe"]
    assert codes(beside) == [name for name in codes(alone) if name != "ERROR_NO_VALID_LABEL_ATTRIBUTES"]


def test_a_bad_box_costs_only_itself_and_is_marked_where_it_stands():
    line = changed(BOXES, bb__annotations__1__left=600)
    checked = check(line)
    assert checked.outcome is Outcome.VALID
    assert [annotation.label for annotation in checked.image.annotations] == ["bolt"]
    (problem,) = checked.image.problems
    assert (problem.code, problem.path) == ("ERROR_INVALID_BOUNDING_BOX", "bb.annotations[1]")
    (error,) = checked.annotated()["bb"]["annotations"][1]["errors"]
    assert error["code"] == "ERROR_INVALID_BOUNDING_BOX"
    assert "errors" not in checked.annotated()


@pytest.mark.parametrize("change", [{"left": -1}, {"top": 470}, {"width": -5}, {"height": 1e300}, {"left": 1e308}])
def test_boxes_outside_the_image_are_invalid(change):
    line = copy.deepcopy(BOXES)
    line["bb"]["annotations"][0].update(change)
    assert codes(check(line)) == ["ERROR_INVALID_BOUNDING_BOX"]


def test_a_box_is_measured_after_the_image_is_made_smaller():
    def line(side: int, box: float) -> dict[str, Any]:
        size = [{"width": side, "height": side, "depth": 3}]
        entry = {"class_id": 0, "left": 0, "top": 0, "width": box, "height": box}
        metadata = {**BOXES["bb-metadata"], "objects": [{"confidence": 1}]}
        return BOXES | {"bb": {"image_size": size, "annotations": [entry]}, "bb-metadata": metadata}

    too_small = ["ERROR_BOUNDING_BOX_TOO_SMALL", "ERROR_NO_VALID_ANNOTATIONS"]
    assert codes(check(line(1280, 1))) == too_small
    assert codes(check(line(1280, 1.5))) == []
    assert codes(check(line(2560, 1.5))) == too_small
    assert codes(check(line(2560, 2.5))) == []
    assert codes(check(line(2560, 0.5), ManifestRules(min_box_side=None))) == []
    assert codes(check(line(2560, 0), ManifestRules(min_box_side=None))) == too_small


def test_the_annotated_line_is_that_of_the_guide():
    line = json.loads(
        '{"source-ref":"s3://shop/img/0003.jpg","bb":{"image_size":[{"width":3000,"height":3000,"depth":3}],'
        '"annotations":[{"class_id":0,"left":0,"top":0,"width":1,"height":1}]},"bb-metadata":{"objects":'
        '[{"confidence":1}],"class-map":{"0":"bolt"},"type":"groundtruth/object-detection","human-annotated":"yes",'
        '"creation-date":"2026-01-05T10:00:00"}}'
    )
    expected = copy.deepcopy(line)
    expected["bb"]["annotations"][0]["errors"] = [
        {
            "code": "ERROR_BOUNDING_BOX_TOO_SMALL",
            "message": "The height and width of the bounding box is too small.",
        }
    ]
    expected["errors"] = [{"code": "ERROR_NO_VALID_ANNOTATIONS", "message": "No valid annotations found."}]
    annotated = check(line).annotated()
    assert annotated == expected
    # It may be checked again: what was written into it does not count.
    again = check(annotated)
    assert again.annotated() == expected
    assert "errors" not in check_line(json.dumps(annotated), ManifestRules(min_box_side=None)).annotated()


def test_faults_are_told_all_at_once():
    line = changed(
        BOXES,
        bb__image_size__0__width=5000,
        bb__annotations__0__left=-1,
        bb__annotations__1__width=0.5,
    )
    line |= {"grade": "x", "grade-metadata": {**LABEL["grade-metadata"], "confidence": 7, "human-annotated": 1}}
    checked = check(line)
    assert sorted(codes(checked)) == sorted(
        [
            "ERROR_INVALID_BOUNDING_BOX",
            "ERROR_BOUNDING_BOX_TOO_SMALL",
            *(METADATA, METADATA, VALUE),
            "ERROR_INVALID_IMAGE_DIMENSION",
            "ERROR_NO_VALID_ANNOTATIONS",
        ]
    )
    annotated = checked.annotated()
    assert {entry["code"] for entry in annotated["errors"]} == {
        "ERROR_INVALID_IMAGE_DIMENSION",
        "ERROR_NO_VALID_ANNOTATIONS",
    }
    # A number cannot hold an error: it goes to the metadata beside it.
    assert {entry["code"] for entry in annotated["grade-metadata"]["errors"]} == {METADATA, VALUE}


# Independent faults in a line with a label and boxes, by the code that each must have.
INJECTIONS = {
    "ERROR_INVALID_SOURCE_REF_FORMAT": {"source_ref": "https://shop/1.jpg"},
    "ERROR_INVALID_IMAGE_DIMENSION": {"bb__image_size__0__width": 5000},
    "ERROR_INVALID_BOUNDING_BOX": {"bb__annotations__0__left": -1},
    "ERROR_BOUNDING_BOX_TOO_SMALL": {"bb__annotations__1__width": 0.1},
    "ERROR_MISSING_CLASS_MAP_ID": {"bb__annotations__1__class_id": 9},
    "ERROR_MISSING_BOUNDING_BOX_CONFIDENCE": {"bb_md__objects": [{"confidence": 1}]},
    "ERROR_INVALID_LABEL_ATTRIBUTE_METADATA_FORMAT": {"bb_md__human_annotated": "perhaps"},
    "ERROR_INVALID_LABEL_ATTRIBUTE_FORMAT": {"grade": "x"},
    "ERROR_UNSUPPORTED_USE_CASE_TYPE": {"grade_md__type": "groundtruth/semantic-segmentation"},
    "ERROR_INVALID_LABEL_NAME_LENGTH": {"bb_md__class-map__0": "x" * 300},
}


# What a value must look like is not known of a type that is not known.
UNKNOWABLE = ("ERROR_INVALID_LABEL_ATTRIBUTE_FORMAT", "ERROR_UNSUPPORTED_USE_CASE_TYPE")


@pytest.mark.parametrize(("one", "other"), [pair for pair in combinations(INJECTIONS, 2) if pair != UNKNOWABLE])
def test_no_fault_hides_another(one, other):
    found = codes(check(changed(LABEL | BOXES, **INJECTIONS[one], **INJECTIONS[other])))
    assert {one, other} <= set(found)


@pytest.mark.parametrize(("side", "is_right"), [(63, False), (64, True), (4096, True), (4097, False)])
def test_sizes_of_images(side, is_right):
    line = changed(BOXES, bb__image_size=[{"width": side, "height": side, "depth": 3}])
    line["bb"]["annotations"] = [{"class_id": 0, "left": 0, "top": 0, "width": 60, "height": 60}]
    line["bb-metadata"]["objects"] = [{"confidence": 1}]
    assert codes(check(line)) == ([] if is_right else ["ERROR_INVALID_IMAGE_DIMENSION"])
    assert codes(check(line, ManifestRules(min_side=None, max_side=None))) == []


def test_too_many_boxes_and_labels():
    line = copy.deepcopy(BOXES)
    line["bb"]["annotations"] = line["bb"]["annotations"][:1] * 51
    line["bb-metadata"]["objects"] = [{"confidence": 1}] * 51
    checked = check(line)
    assert [(fault.code.name, fault.path) for fault in checked.faults] == [("ERROR_TOO_MANY_BOUNDING_BOXES", "bb")]
    assert checked.outcome is Outcome.INVALID
    limits = replace(AWS_LIMITS, boxes_per_image=51, labels_per_image=1)
    assert codes(check(line, ManifestRules(limits))) == []
    two = LABEL | {"leaf": 1, "leaf-metadata": {**LABEL["grade-metadata"], "class-name": "leaf"}}
    assert codes(check(two)) == []
    assert codes(check(two, ManifestRules(limits))) == ["ERROR_TOO_MANY_LABELS"]


@pytest.mark.parametrize(
    ("line", "expected", "outcome"),
    [
        ({}, ["WARNING_UNANNOTATED_RECORD"], Outcome.IGNORED),
        ({"cl-metadata": {"is_labeled": False}}, ["WARNING_UNANNOTATED_RECORD"], Outcome.IGNORED),
        ({"grade": 1}, ["ERROR_NO_LABEL_ATTRIBUTES"], Outcome.INVALID),
        ({"grade-metadata": LABEL["grade-metadata"]}, ["ERROR_NO_LABEL_ATTRIBUTES"], Outcome.INVALID),
        (
            {
                "bb": {**BOXES["bb"], "annotations": []},
                "bb-metadata": {**BOXES["bb-metadata"], "objects": [], "class-map": {}},
            },
            ["WARNING_NO_ATTRIBUTE_ANNOTATIONS", "WARNING_NO_ANNOTATIONS"],
            Outcome.IGNORED,
        ),
    ],
)
def test_lines_without_annotations(line, expected, outcome):
    checked = check({"source-ref": "s3://shop/1.jpg"} | line)
    assert codes(checked) == expected
    assert checked.outcome is outcome
    assert (checked.image.problems == ()) is (outcome is Outcome.IGNORED)
    key = "errors" if outcome is Outcome.INVALID else "warnings"
    assert checked.annotated()[key][-1]["code"] == expected[-1]


def test_unknown_keys_beside_attributes_are_tolerated():
    assert codes(check(LABEL | {"camera": {"model": 5}, "rekognition-custom-labels-object-id": 3})) == []


def test_native_multi_label_lines_may_be_refused():
    tags = {"class-map": {"0": "a", "2": "b"}, "confidence-map": {"0": 0.9, "2": 0.8}, **COMMON}
    line = {
        "source-ref": "s3://shop/1.jpg",
        "tags": [0, 2],
        "tags-metadata": {**tags, "type": "groundtruth/image-classification-multilabel"},
    }
    assert [annotation.label for annotation in check(line).image.annotations] == ["a", "b"]
    refused = check(line, ManifestRules(native_multi_label=False))
    assert codes(refused)[0] == "ERROR_UNSUPPORTED_USE_CASE_TYPE"
    assert codes(check(changed(line, tags=[0, 1])))[0] == "ERROR_MISSING_CLASS_MAP_ID"
    assert codes(check(changed(line, tags=0)))[0] == VALUE
    assert codes(check(changed(line, tags=[])))[-1] == "WARNING_NO_ANNOTATIONS"


@pytest.mark.parametrize("text", ["", "nonsense", "[]", '{"source-ref": 5}', "{}"])
def test_rejected_lines_are_marked_too(text):
    checked = check_line(text)
    assert checked.image is None
    assert checked.outcome is Outcome.INVALID
    (error,) = checked.annotated()["errors"]
    assert error == {"code": checked.rejection.code, "message": checked.rejection.message}


def test_faults_found_by_others_are_marked_with_the_rest():
    annotated = check(LABEL).annotated({"ERROR_INVALID_IMAGE": "It is cut off."})
    assert annotated["errors"] == [{"code": "ERROR_INVALID_IMAGE", "message": "It is cut off."}]


def test_every_code_is_named_after_what_it_is():
    assert all(code.name.startswith("WARNING_" if code.is_warning else "ERROR_") for code in CODES.values())
    assert len(CODES) == len({code.name for code in CODES.values()})
