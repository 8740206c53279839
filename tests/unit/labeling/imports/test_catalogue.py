import pytest

from sightsmith_labeling.formats.catalogue import FORMATS, recognise
from sightsmith_labeling.formats.records import FormatError
from tests.unit.labeling.formats.trees import MemoryTree


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("ground_truth", {"labels.manifest": b"{}"}),
        ("ground_truth", {"output": b'{"source-ref": "s3://b/1.jpg"}\n'}),
        ("ground_truth", {"lines.json": b'{"source-ref": "s3://b/1.jpg"}\n{"source-ref": "s3://b/2.jpg"}'}),
        ("coco", {"instances.json": b'{\n "info": {}, "images": []}', "images/1.jpg": b""}),
        ("label_studio", {"tasks.json": b" [{}]", "1.jpg": b""}),
        ("cvat", {"annotations.xml": b'<?xml version="1.0"?><annotations/>'}),
        ("voc", {"Annotations/1.xml": b"<annotation/>", "JPEGImages/1.jpg": b""}),
        ("yolo", {"data.yaml": b"names: [a]", "images/1.jpg": b"", "labels/1.txt": b""}),
        ("yolo", {"train.txt": b"./train/cat/1.jpg\n", "train/cat/1.jpg": b""}),
        ("folders", {"train.txt": b"cat/1.jpg\n", "cat/1.jpg": b""}),
        ("ground_truth", {"train.txt": b'{"source-ref": "s3://b/1.jpg"}\n'}),
        ("csv", {"labels.csv": b"1.jpg,cat\n", "1.jpg": b""}),
        ("folders", {"cat/1.jpg": b"", "dog/2.png": b"", "README.txt": b"hello"}),
    ],
)
def test_formats_are_recognised(name: str, files: dict[str, bytes]) -> None:
    assert recognise(MemoryTree(files)) is FORMATS[name]


@pytest.mark.parametrize("files", [{}, {"notes.txt": b"hello"}, {"data.bin": b"\xff\xfe\x00"}])
def test_what_is_none_of_them_is_refused(files: dict[str, bytes]) -> None:
    with pytest.raises(FormatError) as caught:
        recognise(MemoryTree(files))
    assert caught.value.code == "ERROR_UNKNOWN_FORMAT"
    assert "coco" in caught.value.message
