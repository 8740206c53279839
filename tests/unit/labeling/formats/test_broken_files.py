"""Broken and hostile COCO, YOLO, Pascal VOC and CSV files: refused or read in part, and never a crash."""

import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightsmith_labeling.formats.coco import Coco
from sightsmith_labeling.formats.csv_files import CsvFiles
from sightsmith_labeling.formats.cvat import Cvat
from sightsmith_labeling.formats.records import Format, FormatError, Rejection
from sightsmith_labeling.formats.voc import Voc
from sightsmith_labeling.formats.yolo import Yolo
from tests.unit.labeling.formats.mutations import mutated, read_or_refuse
from tests.unit.labeling.formats.trees import LIMITS, MemoryTree, read

FIXTURES = Path(__file__).parents[3] / "fixtures" / "formats"
ORIGINALS = [
    (Coco(), "coco/supervision"),
    (Coco(), "coco/datumaro_labels"),
    (Yolo(), "yolo/datumaro_ultralytics"),
    (Yolo(), "yolo/datumaro_darknet"),
    (Voc(), "voc/globox"),
    (Voc(), "voc/datumaro_classification"),
    (CsvFiles(), "csv/globox"),
]
CSV = {"a.csv": b"filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,64,48,cat,1,2,3,4\nb.jpg,,,,,,,\n"}
GOOGLE = {"a.csv": b"TRAIN,gs://b/a.jpg,cat,0.1,0.1,,,0.5,0.5,,\nTEST,gs://b/b.jpg,dog\n"}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=6,
)
MIB = 1024 * 1024


def files_of(folder: str) -> dict[str, bytes]:
    tree = MemoryTree.of_folder(FIXTURES / folder)
    return {name: tree.open(name).read() for name in tree.names()}


@settings(max_examples=250, deadline=None)
@given(data=st.data())
def test_mutated_files_do_no_harm(data: st.DataObject) -> None:
    choices = [(format_, files_of(folder)) for format_, folder in ORIGINALS] + [(CsvFiles(), CSV), (CsvFiles(), GOOGLE)]
    format_, files = data.draw(st.sampled_from(choices))
    name = data.draw(st.sampled_from(sorted(files)))
    read_or_refuse(format_, files | {name: data.draw(mutated(files[name]))})


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_coco_with_values_of_any_kind_does_no_harm(data: st.DataObject) -> None:
    content = json.loads(files_of("coco/supervision")["annotations.json"])
    for _ in range(data.draw(st.integers(1, 3))):
        place = content
        while isinstance(place, dict | list) and place:
            keys = sorted(place) if isinstance(place, dict) else range(len(place))
            key = data.draw(st.sampled_from(keys))
            if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
                place[key] = data.draw(VALUES)
                break
            place = place[key]
    read_or_refuse(Coco(), {"a.json": json.dumps(content).encode()})


def refused(format_: Format, files: dict[str, bytes | str]) -> tuple[str, int]:
    """The code with which files are refused or all rejected, and the most bytes that were held meanwhile."""
    tree = MemoryTree(files)
    tracemalloc.start()
    try:
        (found,) = read(format_, tree)
        assert isinstance(found, Rejection)
        code = found.code
    except FormatError as error:
        code = error.code
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return code, peak


ENTITIES = "".join(
    f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abcdefg", "bcdefgh", strict=True)
)
BOMB = f'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">{ENTITIES}]><annotation><filename>&h;</filename></annotation>'
IMAGES = "[" + '{"id":1,"file_name":"a.jpg"}' + "]"


@pytest.mark.parametrize(
    ("format_", "files", "code"),
    [
        (Coco(), {"a.json": f'{{"images":{IMAGES},"x":"' + "y" * 8 * MIB}, "ERROR_INVALID_JSON"),
        (Coco(), {"a.json": '{"images":' + "[" * 8 * MIB}, "ERROR_INVALID_JSON"),
        (Coco(), {"a.json": '{"images":[' + "9" * 8 * MIB + "]}"}, "ERROR_INVALID_JSON"),
        (Coco(), {"a.json": '{"images":[{"id":1,"file_name":"' + "y" * 8 * MIB + '"}]}'}, "ERROR_VALUE_TOO_LONG"),
        (Coco(), {"a.json": " " * 8 * MIB}, "ERROR_INVALID_JSON"),
        (Coco(), {"a.json": b"\xff\xfe{\0"}, "ERROR_INVALID_ENCODING"),
        (Yolo(), {"data.yaml": "a: &a [x,x]\nb: &b [*a,*a]\nnames: [*b,*b]"}, "ERROR_INVALID_YAML"),
        (Yolo(), {"data.yaml": "names: " + "[" * 100_000}, "ERROR_INVALID_YAML"),
        (Yolo(), {"data.yaml": "names: {0: !!python/object/apply:os.system [x]}"}, "ERROR_EMPTY_MANIFEST"),
        (Yolo(), {"data.yaml": "names: [" + "x," * 8 * MIB + "]"}, "ERROR_FILE_TOO_LARGE"),
        (Yolo(), {"classes.txt": "x" * 8 * MIB}, "ERROR_LINE_TOO_LONG"),
        (Voc(), {"a.xml": BOMB}, "ERROR_INVALID_XML"),
        (Voc(), {"a.xml": '<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>'}, "ERROR_INVALID_XML"),
        (Voc(), {"a.xml": "<a>" * 300_000}, "ERROR_INVALID_XML"),
        (Voc(), {"a.xml": "<annotation>" + "x" * 8 * MIB}, "ERROR_FILE_TOO_LARGE"),
        (Voc(), {"ImageSets/Main/train.txt": "x" * 8 * MIB}, "ERROR_LINE_TOO_LONG"),
        (CsvFiles(), {"a.csv": "a.jpg," + "x" * 8 * MIB}, "ERROR_LINE_TOO_LONG"),
        (CsvFiles(), {"a.csv": 'a.jpg,"x\n'}, "ERROR_INVALID_LINE"),
        (CsvFiles(), {"a.csv": "a\0.jpg,x\n"}, "ERROR_INVALID_SOURCE_REF_FORMAT"),
        (CsvFiles(), {"a.csv": "äa.jpg,x\n".encode("utf-16")}, "ERROR_INVALID_ENCODING"),
        (CsvFiles(), {"a.csv": "filename,size\n"}, "ERROR_UNKNOWN_COLUMNS"),
    ],
)  # fmt: skip
def test_hostile_files_are_refused_in_little_memory(format_, files, code):
    found, peak = refused(format_, files)
    assert found == code
    assert peak < 40 * MIB


@pytest.mark.parametrize("format_", [Voc(), Cvat()], ids=lambda format_: format_.name)
@pytest.mark.parametrize(
    "content",
    ["nonsense", "<annotations><annotation>", BOMB, "<other/>", '<?xml version="1.0" encoding="none"?><annotation/>'],
    ids=["no XML", "cut off", "entities", "another element", "an unknown encoding"],
)
def test_the_same_fault_of_xml_has_one_code_in_every_format(format_, content):
    assert refused(format_, {"a.xml": content})[0] == "ERROR_INVALID_XML"


def test_no_more_images_are_read_than_are_accepted():
    limits = LIMITS.__class__(**(vars(LIMITS) | {"lines": 2}))
    images = [{"id": number, "file_name": f"{number}.jpg"} for number in range(3)]
    lines = "".join(f"{number}.jpg\n" for number in range(3))
    for format_, files in (
        (Coco(), {"a.json": json.dumps({"images": images})}),
        (CsvFiles(), {"a.csv": lines}),
        (Yolo(), {"classes.txt": "cat", "train.txt": lines}),
        (Voc(), {"ImageSets/Main/train.txt": lines}),
        (Voc(), {f"{number}.xml": "<annotation/>" for number in range(3)}),
    ):
        with pytest.raises(FormatError) as refusal:
            read(format_, files, limits)
        assert refusal.value.code == "ERROR_MANIFEST_ROWS_EXCEEDS_MAXIMUM"
