"""What other tools wrote (tests/fixtures/formats) is read as it was meant, and they read what is written here."""

from pathlib import Path

import pytest
from pycocotools.coco import COCO

from sightsmith_labeling.annotations import Box
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.catalogue import recognise
from sightsmith_labeling.formats.coco import Coco
from sightsmith_labeling.formats.fields import in_pixels
from sightsmith_labeling.formats.records import ImportedImage
from tests.unit.labeling.formats.exports import image, sound
from tests.unit.labeling.formats.trees import MemoryTree, read, written

FIXTURES = Path(__file__).parents[3] / "fixtures" / "formats"
SIZE = (320, 240)
BOXES = {
    "one.jpg": [("cat", (10, 20, 100, 50)), ("traffic light", (200.5, 40.25, 80.25, 80.25))],
    "two.jpg": [("Hündin", (0, 0, 320, 240))],
    "three.jpg": [],
}
LABELS = {"one.jpg": ["cat"], "two.jpg": ["traffic light", "Hündin"], "three.jpg": []}
SPLITS = {"one.jpg": Split.TRAIN, "two.jpg": Split.TEST, "three.jpg": Split.TRAIN}
# It counts pixels from 1, as the original sets did.
FROM_ONE = {
    "one.jpg": [("cat", (11, 21, 99, 49)), ("traffic light", (202, 41, 79, 79))],
    "two.jpg": [("Hündin", (1, 1, 319, 239))],
    "three.jpg": [],
}


def boxes_of(image: ImportedImage) -> list[tuple[str, tuple[float, ...]]]:
    found = []
    for annotation in image.annotations:
        assert annotation.box is not None
        box = in_pixels(annotation.box, *SIZE) if image.relative else annotation.box
        # Some of the tools write five decimals of a share, which are some thousandths of a pixel.
        found.append((annotation.label, tuple(pytest.approx(value, abs=4e-3) for value in vars(box).values())))
    return found


@pytest.mark.parametrize(
    ("folder", "format_name", "expected"),
    [
        ("coco/supervision", "coco", BOXES),
        ("coco/globox", "coco", BOXES),
        ("coco/datumaro_instances", "coco", BOXES),
        ("voc/supervision", "voc", FROM_ONE),
        ("voc/globox", "voc", BOXES),
        ("voc/datumaro_detection", "voc", BOXES),
        ("yolo/supervision", "yolo", BOXES),
        ("yolo/datumaro_darknet", "yolo", BOXES),
        ("yolo/datumaro_ultralytics", "yolo", BOXES),
        ("csv/globox", "csv", {name: found for name, found in BOXES.items() if found}),
    ],
)
def test_boxes_of_other_tools_are_read(folder, format_name, expected):
    files = dict.fromkeys(("images/one.jpg", "images/two.jpg", "images/three.jpg"), b"pixels")
    tree = MemoryTree.of_folder(FIXTURES / folder)
    tree = MemoryTree(
        {name: tree.open(name).read() for name in tree.names()} | (files if "supervision" in folder else {})
    )
    format_ = recognise(tree)
    assert format_.name == format_name
    found = {image.source.rpartition("/")[2]: image for image in sound(read(format_, tree))}
    assert {name: boxes_of(image) for name, image in found.items()} == expected
    if "datumaro" in folder:
        assert {name: image.split for name, image in found.items()} == SPLITS


@pytest.mark.parametrize("folder", ["coco/datumaro_labels", "voc/datumaro_classification"])
def test_labels_of_whole_images_of_other_tools_are_read(folder):
    tree = MemoryTree.of_folder(FIXTURES / folder)
    found = sound(read(recognise(tree), tree))
    assert {image.source: sorted(each.label for each in image.annotations) for image in found} == {
        name: sorted(labels) for name, labels in LABELS.items()
    }
    assert all(annotation.box is None for image in found for annotation in image.annotations)
    assert {image.source: image.split for image in found} == SPLITS


def test_pycocotools_loads_what_is_written(tmp_path):
    export = [
        image("one.jpg", ("cat", Box(10, 20, 100.5, 50)), ("dog", Box(0, 0, 640, 480)), ("indoors", None)),
        image("two.jpg"),
        image("three.jpg", ("dog", Box(1, 2, 3, 4)), split=Split.TEST),
    ]
    paths = {}
    for name, content in written(Coco(), export).items():
        paths[name] = tmp_path / Path(name).name
        paths[name].write_bytes(content)
    train = COCO(paths["annotations/instances_train.json"])
    assert sorted(found["file_name"] for found in train.loadImgs(train.getImgIds())) == ["one.jpg", "two.jpg"]
    assert [found["name"] for found in train.loadCats(train.getCatIds())] == ["cat", "dog", "indoors"]
    (one,) = [found for found in train.dataset["images"] if found["file_name"] == "one.jpg"]
    boxes = [found for found in train.imgToAnns[one["id"]] if "bbox" in found]
    assert [(found["bbox"], found["area"]) for found in boxes] == [
        ([10, 20, 100.5, 50], 5025),
        ([0, 0, 640, 480], 307200),
    ]
    assert len(train.getAnnIds(catIds=train.getCatIds(catNms=["indoors"]))) == 1
    val = COCO(paths["annotations/instances_val.json"])
    assert len(val.getAnnIds()) == 1
    assert not set(train.getImgIds()) & set(val.getImgIds())
