"""Tasks of Label Studio."""

import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings

from sightsmith_labeling.annotations import Box, NewAnnotation, Origin
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.coco import Coco
from sightsmith_labeling.formats.label_studio import LabelStudio
from sightsmith_labeling.formats.records import ExportedImage, FormatError, Rejection
from tests.unit.labeling.formats.exports import contents, image, sound
from tests.unit.labeling.formats.mutations import mutated, read_or_refuse
from tests.unit.labeling.formats.trees import MemoryTree, read, written

FIXTURES = Path(__file__).parents[3] / "fixtures/formats/label_studio"
ORIGINAL = (FIXTURES / "json.json").read_bytes()

# What the tasks of the fixtures say: percent of 640 × 480 pixels.
ONE = [("sharp",), ("bolt", 64.0, 96.0, 160.0, 60.0), ("washer", 320.0, 240.0, 64.0, 48.0)]
TWO = [("blurred",), ("bolt", 80.0, 120.0, 320.0, 240.0)]


def task(*results: object, **more: object) -> dict[str, object]:
    return {"data": {"image": "a.jpg"}, "annotations": [{"result": list(results)}], **more}


def region(**value: object) -> dict[str, object]:
    sizes = {"original_width": 200, "original_height": 100}
    return {"type": "rectanglelabels", **sizes, "value": {"rectanglelabels": ["a"], **value}}


def read_tasks(*tasks: object):
    return read(LabelStudio(), {"tasks.json": json.dumps(tasks)})


@pytest.mark.parametrize("name", ["json.json", "json_min.json"])
def test_what_label_studio_exports_is_read(name):
    one, two = sound(read(LabelStudio(), {name: (FIXTURES / name).read_bytes()}))
    assert (one.source, one.width, one.height) == ("one.jpg", 640, 480)
    assert contents(one.annotations) == sorted(ONE)
    assert contents(two.annotations) == sorted(TWO)
    assert {annotation.origin for annotation in one.annotations} == {Origin.IMPORT}


def test_what_label_studio_makes_of_coco_is_read():
    one, two, three = read(LabelStudio(), {"a.json": (FIXTURES / "from_coco.json").read_bytes()})
    assert contents(one.annotations) == [("bolt", 10.0, 20.0, 100.5, 50.25), ("washer & nut", 200.0, 40.0, 80.0, 80.0)]
    assert (two.source, contents(two.annotations)) == ("two.jpg", [("washer & nut", 16.0, 10.0, 32.0, 20.0)])
    assert (three.source, three.annotations) == ("three.jpg", ())


def test_what_label_studio_makes_of_its_tasks_for_coco_says_the_same_boxes():
    from_coco = {Path(image.source).name: image for image in read(Coco(), MemoryTree.of_folder(FIXTURES / "coco"))}
    boxes = {name.split("-")[-1]: contents(image.annotations) for name, image in from_coco.items()}
    assert boxes == {"one.jpg": sorted(ONE[1:]), "two.jpg": sorted(TWO[1:])}


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("cat.jpg", "cat.jpg"),
        ("images/cat.jpg", "images/cat.jpg"),
        ("/data/upload/3/0a1b2c3d-my%20cat.jpg", "my cat.jpg"),
        ("/data/upload/0a1b2c3d-cat.jpg", "cat.jpg"),
        ("/data/local-files/?d=photos%2Fcat.jpg", "photos/cat.jpg"),
        ("https://host/a/cat.jpg?token=1", "a/cat.jpg"),
        ("s3://bucket/a/cat.jpg", "s3://bucket/a/cat.jpg"),
    ],
)
def test_images_are_named_in_many_ways(url, source):
    (image,) = read_tasks({"data": {"image": url}})
    assert image.source == source
    (image,) = read_tasks({"data": {"photo": url}})
    assert image.source == source


def test_an_uploaded_file_keeps_its_name_if_its_bytes_come_along():
    tasks = json.dumps([{"data": {"image": "/data/upload/1/0a1b2c3d-cat.jpg"}}])
    (image,) = read(LabelStudio(), {"tasks.json": tasks, "images/0a1b2c3d-cat.jpg": b""})
    assert image.file == "images/0a1b2c3d-cat.jpg"
    (image,) = read(LabelStudio(), {"tasks.json": tasks, "images/cat.jpg": b""})
    assert image.file == "images/cat.jpg"


def test_the_annotation_that_counts_is_the_truth_or_the_latest():
    def annotated(label: str, **more: object) -> dict[str, object]:
        return {"result": [{"type": "choices", "value": {"choices": [label]}}], **more}

    early, late = annotated("early", updated_at="2026-01-01"), annotated("late", updated_at="2026-01-02")
    truth, skipped = annotated("truth", ground_truth=True), annotated("skipped", was_cancelled=True, updated_at="2027")
    for annotations, expected in (
        ([late, early], "late"),
        ([truth, late], "truth"),
        ([skipped, early], "early"),
    ):
        (image,) = read_tasks({"data": {"image": "a.jpg"}, "annotations": annotations})
        assert [annotation.label for annotation in image.annotations] == [expected]
        assert [note.code for note in image.notes] == (
            [] if skipped in annotations else ["WARNING_SEVERAL_ANNOTATIONS"]
        )
    (image,) = read_tasks({"data": {"image": "a.jpg"}, "annotations": [skipped]})
    assert image.annotations == ()


def test_predictions_are_not_imported():
    (image,) = read_tasks(
        {"data": {"image": "a.jpg"}, "predictions": [{"result": [region(x=1, y=1, width=5, height=5)]}]}
    )
    assert image.annotations == ()


@pytest.mark.parametrize(
    ("result", "box"),
    [
        (region(x=25, y=20, width=10, height=20, rotation=90), Box(30, 20, 20, 20)),
        ({**region(points=[[10, 10], [20, 10], [15, 30]])}, Box(20, 10, 20, 20)),
        (region(x=50, y=50, radiusX=10, radiusY=20), Box(80, 30, 40, 40)),
    ],
)
def test_other_shapes_become_the_box_around_them(result, box):
    (image,) = read_tasks(task(result))
    (annotation,) = image.annotations
    assert vars(annotation.box) == pytest.approx(vars(box))
    assert [note.code for note in image.notes] == ["WARNING_SHAPE_MADE_A_BOX"]


def test_without_a_size_boxes_stay_shares_of_the_image():
    result = {
        "type": "rectanglelabels",
        "value": {"x": 10, "y": 20, "width": 30, "height": 40, "rectanglelabels": ["a"]},
    }
    (image,) = read_tasks(task(result))
    assert image.relative
    assert image.annotations == (NewAnnotation("a", Box(0.1, 0.2, 0.3, 0.4), Origin.IMPORT),)


def test_what_is_wrong_is_told_and_the_rest_is_kept():
    (image,) = read_tasks(
        task(
            5,
            {"type": "choices"},
            {"type": "choices", "value": {"choices": [7, "sound"]}},
            region(x="left", y=1, width=1, height=1),
            region(x=90, y=1, width=50, height=1),
            region(points=[1, 2]),
            region(rle=[1]),
            {**region(x=1, y=1, width=5, height=5), "image_rotation": 90},
            {"type": "textarea", "value": {"text": ["hello"]}},
        )
    )
    assert [annotation.label for annotation in image.annotations] == ["sound"]
    assert [problem.code for problem in image.problems] == [
        *("ERROR_INVALID_ENTRY", "ERROR_INVALID_ENTRY", "ERROR_INVALID_LABEL_NAME"),
        *("ERROR_INVALID_BOUNDING_BOX",) * 3,
        *("ERROR_UNSUPPORTED_SHAPE",) * 2,
    ]
    assert image.problems[3].path == "[0].annotations[0].result[3]"
    assert [note.code for note in image.notes] == ["WARNING_RESULT_LEFT_OUT"]


def test_tasks_that_cannot_be_imported_are_rejected():
    found = read_tasks(
        5, {"data": {}}, {"data": {"image": 5}}, {"data": {"image": "x" * 2000}}, {"data": {"image": "a.jpg"}}
    )
    assert [entry.code for entry in found if isinstance(entry, Rejection)] == [
        "ERROR_INVALID_ENTRY",
        "ERROR_MISSING_SOURCE_REF",
        "ERROR_INVALID_SOURCE_REF_FORMAT",
        "ERROR_INVALID_SOURCE_REF_FORMAT",
    ]
    assert [entry.path for entry in found if isinstance(entry, Rejection)] == ["[0]", "[1]", "[2]", "[3]"]
    assert found[-1].source == "a.jpg"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"[]", "ERROR_EMPTY_MANIFEST"),
        (b'{"images": [1]}', "ERROR_MANIFEST_INACCESSIBLE_OR_UNSUPPORTED_FORMAT"),
        (b"nonsense", "ERROR_INVALID_JSON"),
    ],
)
def test_files_that_are_no_tasks_are_refused(data, code):
    with pytest.raises(FormatError) as refused:
        read(LabelStudio(), {"a.json": data})
    assert refused.value.code == code


def test_boxes_of_an_image_of_unknown_size_cannot_be_written():
    with pytest.raises(FormatError) as refused:
        written(LabelStudio(), [image("a.jpg", ("bolt", Box(0, 0, 5, 5)), size=None)])
    assert refused.value.code == "ERROR_UNKNOWN_IMAGE_SIZE"


def test_images_that_come_along_are_local_files():
    image = ExportedImage("my cat.jpg", "cat", "images/my cat.jpg", 10, 10, Split.TEST, ())
    (written_task,) = json.loads(written(LabelStudio(), [image])["tasks_test.json"])
    assert written_task["data"]["image"] == "/data/local-files/?d=images/my%20cat.jpg"


def test_a_huge_task_is_not_held():
    data = b'[{"data": {"image": "' + b"x" * 20_000_000 + b'"}}, {"data": {"image": "a.jpg"}}]'
    tree = MemoryTree({"a.json": data})
    tracemalloc.start()
    rejection, image = read(LabelStudio(), tree)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (rejection.code, image.source) == ("ERROR_LINE_TOO_LONG", "a.jpg")
    assert peak < 5_000_000


@given(mutated(ORIGINAL))
@settings(max_examples=120, deadline=None)
def test_a_broken_file_is_refused_and_nothing_worse(data):
    read_or_refuse(LabelStudio(), {"broken.json": data})
