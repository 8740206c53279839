"""CVAT for images 1.1."""

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings

from sightsmith_labeling.annotations import Box, NewAnnotation, Origin
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.cvat import Cvat
from sightsmith_labeling.formats.records import FormatError, Rejection
from tests.unit.labeling.formats.exports import image as exported
from tests.unit.labeling.formats.mutations import mutated, read_or_refuse
from tests.unit.labeling.formats.trees import MemoryTree, read, written

FIXTURES = Path(__file__).parents[3] / "fixtures/formats/cvat"
ORIGINAL = (FIXTURES / "Train.xml").read_bytes()


def image(shapes: str, attributes: str = 'width="100" height="100"') -> bytes:
    return f'<annotations><image id="0" name="a.jpg" {attributes}>{shapes}</image></annotations>'.encode()


def test_what_datumaro_writes_is_read():
    three, one, two = read(Cvat(), MemoryTree.of_folder(FIXTURES))
    assert (one.source, one.width, one.height, one.split) == ("bolts/one.jpg", 640, 480, Split.TRAIN)
    assert one.annotations == (
        NewAnnotation("bolt", Box(10, 20, 100.5, 50.25), Origin.IMPORT),
        NewAnnotation("washer & nut", Box(200, 40, 80, 80), Origin.IMPORT),
        NewAnnotation("schräg <1>", None, Origin.IMPORT),
    )
    assert two.annotations == (NewAnnotation("washer & nut", Box(10, 10, 50, 80), Origin.IMPORT),)
    assert [note.code for note in two.notes] == ["WARNING_SHAPE_MADE_A_BOX"]
    assert (three.source, three.split, three.annotations) == ("three.jpg", Split.TEST, ())
    assert one.place.line > 1


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ('<box label="a" xtl="40" ytl="45" xbr="60" ybr="55" rotation="90"/>', Box(45, 40, 10, 20)),
        ('<ellipse label="a" cx="50" cy="50" rx="20" ry="10"/>', Box(30, 40, 40, 20)),
        ('<ellipse label="a" cx="50" cy="50" rx="20" ry="10" rotation="90"/>', Box(40, 30, 20, 40)),
        ('<polygon label="a" points="1,2;5,2;5,8"/>', Box(1, 2, 4, 6)),
        ('<polygon label="a" points="-5,2;5,2;5,200"/>', Box(0, 2, 5, 98)),
        ('<mask label="a" left="1" top="2" width="3" height="4" rle="1,2"/>', Box(1, 2, 3, 4)),
    ],
)
def test_other_shapes_become_the_box_around_them(shape, box):
    (found,) = read(Cvat(), {"a.xml": image(shape)})
    (annotation,) = found.annotations
    assert vars(annotation.box) == pytest.approx(vars(box))
    assert [note.code for note in found.notes] == ["WARNING_SHAPE_MADE_A_BOX"]


def test_what_has_no_box_is_told_and_the_rest_is_kept():
    shapes = (
        '<points label="a" points="1,1"/><polyline label="a" points="1,1;2,2"/><cuboid label="a"/>'
        '<box label="a" xtl="1" ytl="x" xbr="2" ybr="2"/><box label="" xtl="1" ytl="1" xbr="2" ybr="2"/>'
        '<box label="a" xtl="1" ytl="1" xbr="200" ybr="2"/><polygon label="a" points="1;2"/>'
        '<tag label="b" source="auto"><attribute name="x">y</attribute></tag>'
    )
    (found,) = read(Cvat(), {"a.xml": image(shapes)})
    assert found.annotations == (NewAnnotation("b", None, Origin.MODEL),)
    assert [(problem.code, problem.path) for problem in found.problems] == [
        ("ERROR_UNSUPPORTED_SHAPE", "points[0]"),
        ("ERROR_UNSUPPORTED_SHAPE", "polyline[1]"),
        ("ERROR_UNSUPPORTED_SHAPE", "cuboid[2]"),
        ("ERROR_INVALID_BOUNDING_BOX", "box[3]"),
        ("ERROR_INVALID_LABEL_NAME", "box[4]"),
        ("ERROR_INVALID_BOUNDING_BOX", "box[5]"),
        ("ERROR_INVALID_BOUNDING_BOX", "polygon[6]"),
    ]


def test_images_without_a_name_and_tracks_of_videos_are_rejected():
    elements = b'<image id="0"><tag label="a"/></image><track><box label="a"/></track><image name="b"/>'
    data = b"<annotations>" + elements + b"</annotations>"
    first, second, third = read(Cvat(), {"a.xml": data})
    assert isinstance(first, Rejection)
    assert isinstance(second, Rejection)
    assert (first.code, second.code) == ("ERROR_MISSING_SOURCE_REF", "ERROR_UNSUPPORTED_SHAPE")
    assert third.source == "b"


@pytest.mark.parametrize("text", ["\ufffe", "a\uffff"])
def test_what_xml_cannot_say_is_refused(text):
    for image_of in (exported("a.jpg", (text, None)), exported(f"{text}.jpg")):
        with pytest.raises(FormatError) as refused:
            written(Cvat(), [image_of])
        assert refused.value.code == "ERROR_FORMAT_CANNOT_EXPRESS"


ENTITIES = b'<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;">]>'


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense",
        b"<annotations>",
        b"<annotation><filename>voc.jpg</filename></annotation>",
        ENTITIES + image('<tag label="&c;"/>'),
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd">' + image(""),
        b"<annotations>" + b"<a>" * 100,
        b"<annotations>" + b"".join(b"<a%d/>" % number for number in range(2000)),
        b'<?xml version="1.0" encoding="no-such"?>' + image(""),
        b'<?xml version="1.0" encoding="utf-16"?>' + image(""),
    ],
)
def test_files_that_are_not_of_cvat_are_refused(data):
    with pytest.raises(FormatError) as refused:
        read(Cvat(), {"a.xml": data})
    assert refused.value.code == "ERROR_INVALID_XML"
    assert refused.value.place.file == "a.xml"


@pytest.mark.parametrize("data", [b"", b"<annotations/>"])
def test_a_file_without_images_is_empty(data):
    with pytest.raises(FormatError) as refused:
        read(Cvat(), {"a.xml": data})
    assert refused.value.code == "ERROR_EMPTY_MANIFEST"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (image('<polygon label="a" points="' + "1,1;" * 3_000_000 + '1,1"/>'), "ERROR_LINE_TOO_LONG"),
        (image('<box label="a" xtl="1" ytl="1" xbr="2" ybr="2"/>' * 5_000), "ERROR_TOO_MANY_BOUNDING_BOXES"),
        (image("<tag label='a'>" + "x" * 10_000_000 + "</tag>"), None),
    ],
    ids=["a huge attribute", "many boxes", "a huge text"],
)
def test_huge_files_are_not_held(data, code):
    tree = MemoryTree({"a.xml": data})
    tracemalloc.start()
    try:
        (found,) = read(Cvat(), tree)
        codes = {problem.code for problem in found.problems} - {"ERROR_TOO_MANY_PROBLEMS"}
    except FormatError as error:
        codes = {error.code}
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert codes == ({code} if code else set())
    assert peak < 5_000_000


@given(mutated(ORIGINAL))
@settings(max_examples=120, deadline=None)
def test_a_broken_file_is_refused_and_nothing_worse(data):
    read_or_refuse(Cvat(), {"broken.xml": data})
