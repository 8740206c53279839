"""Manifests of Ground Truth and Custom Labels: reading, writing, and what is refused."""

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings

from sightsmith_labeling.annotations import Box, NewAnnotation, Origin
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.ground_truth import GroundTruth
from sightsmith_labeling.formats.manifest_check import Outcome, check_line
from sightsmith_labeling.formats.records import ExportedImage, FormatError, ImportedImage, ReadLimits, Rejection
from tests.unit.labeling.formats.exports import image, images, sound
from tests.unit.labeling.formats.mutations import mutated, read_or_refuse
from tests.unit.labeling.formats.trees import LIMITS, MemoryTree, read, written

MIXED = (Path(__file__).parents[3] / "fixtures/formats/ground_truth/mixed.manifest").read_bytes()
SMALL = ReadLimits(
    lines=3, line_characters=200, labels_per_image=5, boxes_per_image=5, label_characters=20, source_characters=50
)


def test_every_form_of_line_is_read():
    found = read(GroundTruth(), {"output.manifest": MIXED})
    assert [image.source for image in found] == [f"s3://shop/img/000{number}.jpg" for number in range(1, 7)]
    assert [image.place.line for image in found] == [1, 2, 3, 4, 5, 6]
    single, pairs, native, boxes, unlabelled, marked = found
    assert single.annotations == (NewAnnotation("ripe", None, Origin.IMPORT, "label/grade"),)
    assert pairs.annotations == (
        NewAnnotation("camellia", None, Origin.IMPORT, "j"),
        NewAnnotation("with_leaves", None, Origin.MODEL, "detector", 0.7),
    )
    assert native.annotations == (
        NewAnnotation("camellia", None, Origin.IMPORT, "j", 0.9),
        NewAnnotation("with_leaves", None, Origin.IMPORT, "j", 0.8),
    )
    assert boxes.annotations == (
        NewAnnotation("bolt", Box(10, 20, 100, 50), Origin.IMPORT, "j"),
        NewAnnotation("washer", Box(200, 40.5, 80, 80), Origin.IMPORT, "j"),
        NewAnnotation("ripe", None, Origin.IMPORT),
    )
    assert (boxes.width, boxes.height) == (640, 480)
    assert unlabelled.annotations == ()
    assert marked.annotations == (NewAnnotation("bolt", Box(0, 0, 1, 1), Origin.IMPORT),)
    assert sound(found) == found


def test_names_of_files_say_the_split_and_images_of_the_import_are_found():
    files = {
        "train.manifest": '{"source-ref":"s3://shop/images/a.jpg"}\n',
        "test.manifest": '\ufeff{"source-ref":"images/b.jpg"}',
        "images/a.jpg": b"",
        "images/b.jpg": b"",
    }
    test, train = read(GroundTruth(), files)
    assert (train.source, train.split, train.file) == ("s3://shop/images/a.jpg", Split.TRAIN, "images/a.jpg")
    assert (test.source, test.split, test.file) == ("images/b.jpg", Split.TEST, "images/b.jpg")


def test_a_manifest_without_images_is_empty():
    assert written(GroundTruth(), []) == {"train.manifest": b""}


@given(images())
@settings(max_examples=30, deadline=None)
def test_what_is_written_keeps_our_own_rules_for_training(export):
    for file in written(GroundTruth(), filter(_is_trainable, export)).values():
        for line in file.splitlines():
            checked = check_line(line)
            assert [fault.code.name for fault in checked.faults] in ([], ["WARNING_UNANNOTATED_RECORD"])
            assert checked.outcome is not Outcome.INVALID


def _is_trainable(image: ExportedImage) -> bool:
    sides = [side for found in image.annotations if found.box for side in (found.box.width, found.box.height)]
    scale = min(1.0, 1280 / max(image.width, image.height))
    return all(64 <= side <= 4096 for side in (image.width, image.height)) and all(side * scale > 1 for side in sides)


def test_a_source_in_a_bucket_is_kept_unless_the_bytes_come_along():
    image = ExportedImage("a.jpg", "s3://theirs/a.jpg", "s3://ours/images/1", None, None, Split.TRAIN, ())
    assert written(GroundTruth(), [image])["train.manifest"] == b'{"source-ref":"s3://theirs/a.jpg"}\n'
    packed = ExportedImage("a.jpg", "s3://theirs/a.jpg", "images/a.jpg", None, None, Split.TRAIN, ())
    assert written(GroundTruth(), [packed])["train.manifest"] == b'{"source-ref":"images/a.jpg"}\n'


def test_what_is_packed_is_named_by_its_place_wherever_it_came_from():
    packed = ExportedImage("a.jpg", "s3://theirs/a.jpg", "s3://ours/a.jpg", None, None, Split.TRAIN, (), is_packed=True)
    manifest = written(GroundTruth(), [packed])["train.manifest"]
    (image,) = read(GroundTruth(), {"train.manifest": manifest, "images/a.jpg": b"bytes"})
    assert image.file == "images/a.jpg"


def test_boxes_of_an_image_of_unknown_size_cannot_be_written():
    with pytest.raises(FormatError) as refused:
        written(GroundTruth(), [image("a.jpg", ("bolt", Box(0, 0, 5, 5)), size=None)])
    assert refused.value.code == "ERROR_UNKNOWN_IMAGE_SIZE"
    assert "a.jpg" in refused.value.message


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"", "ERROR_INVALID_JSON_LINE"),
        (b"[1]", "ERROR_INVALID_JSON_LINE"),
        (b'{"source-ref": NaN}', "ERROR_INVALID_JSON_LINE"),
        (b'{"source-ref": "s3://a/b"', "ERROR_INVALID_JSON_LINE"),
        (b'{"source-ref": "s3://a/\xff"}', "ERROR_INVALID_JSON_LINE"),
        (b"[" * 150, "ERROR_INVALID_JSON_LINE"),
        (b"1" * 300, "ERROR_LINE_TOO_LONG"),
        (b"1" * 3000, "ERROR_LINE_TOO_LONG"),
        (b"{}", "ERROR_MISSING_SOURCE_REF"),
        (b'{"source-ref": 5}', "ERROR_INVALID_SOURCE_REF_FORMAT"),
        (b'{"source-ref": "https://a/b.jpg"}', "ERROR_INVALID_SOURCE_REF_FORMAT"),
        (b'{"source-ref": "s3://bucket"}', "ERROR_INVALID_SOURCE_REF_FORMAT"),
        (b'{"source-ref": "/etc/passwd"}', "ERROR_INVALID_SOURCE_REF_FORMAT"),
        (b'{"source-ref": "s3://a/\\ud800"}', "ERROR_INVALID_SOURCE_REF_FORMAT"),
    ],
)
def test_lines_that_cannot_be_imported_are_rejected_and_the_rest_is_read(line, code):
    sound = b'{"source-ref":"s3://shop/1.jpg"}'
    first, rejection, last = read(GroundTruth(), {"a.manifest": b"\n".join([sound, line, sound])}, SMALL)
    assert isinstance(rejection, Rejection)
    assert (rejection.code, rejection.place.line) == (code, 2)
    assert isinstance(first, ImportedImage)
    assert isinstance(last, ImportedImage)


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"a.manifest": b""}, "ERROR_EMPTY_MANIFEST"),
        ({"a.manifest": b"{}\n" * 4}, "ERROR_MANIFEST_ROWS_EXCEEDS_MAXIMUM"),
        ({"a.manifest": b"{}\n" * 2, "b.manifest": b"{}\n{}"}, "ERROR_MANIFEST_ROWS_EXCEEDS_MAXIMUM"),
        ({"a.txt": b"{}", "b.txt": b"{}"}, "ERROR_MANIFEST_INACCESSIBLE_OR_UNSUPPORTED_FORMAT"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_refused_before_a_line_is_taken(files, code):
    with pytest.raises(FormatError) as refused:
        read(GroundTruth(), files, SMALL)
    assert refused.value.code == code


@given(mutated(MIXED))
@settings(max_examples=150, deadline=None)
def test_a_broken_manifest_is_refused_and_nothing_worse(data):
    read_or_refuse(GroundTruth(), {"broken.manifest": data})


def test_a_huge_line_is_not_held():
    data = b"x" * 60_000_000 + b'\n{"source-ref":"s3://shop/1.jpg"}\n'
    tree = MemoryTree({"a.manifest": data})
    tracemalloc.start()
    rejection, image = read(GroundTruth(), tree, LIMITS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rejection.code == "ERROR_LINE_TOO_LONG"
    assert image.source == "s3://shop/1.jpg"
    assert peak < 5_000_000
