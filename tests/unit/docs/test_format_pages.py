"""The examples on the pages of the formats: they are recognised, read without a fault, and find their images."""

import re
from pathlib import Path

import pytest

from sightsmith_labeling.formats.catalogue import recognise
from tests.unit.labeling.formats.exports import sound
from tests.unit.labeling.formats.trees import MemoryTree, read

PAGES = Path(__file__).parents[3] / "docs" / "formats"
# A paragraph and the fence after it.
_SHOWN = re.compile(r"([^\n]+(?:\n[^\n]+)*):\n\n```\w*\n(.*?)```", re.DOTALL)
_FILE_NAME = re.compile(r"`([\w./-]+\.(?:csv|json|manifest|txt|xml|yaml))`")


def files_of(page: str) -> dict[str, str]:
    """The files that a page shows, each with the first name in the paragraph before it."""
    shown = _SHOWN.findall((PAGES / page).read_text(encoding="utf-8"))
    return {names[0]: content for paragraph, content in shown if (names := _FILE_NAME.findall(paragraph))}


@pytest.mark.parametrize(
    ("page", "format_name", "files", "images"),
    [
        ("coco.md", "coco", ["instances.json"], ["images/a.jpg"]),
        ("csv.md", "csv", ["labels.csv"], ["images/a.jpg", "images/b.jpg", "images/c.jpg"]),
        ("csv.md", "csv", ["boxes.csv"], ["images/a.jpg"]),
        ("csv.md", "csv", ["automl.csv"], ["images/a.jpg", "images/pets/b.jpg"]),
        ("csv.md", "csv", ["automl.csv"], ["images/a.jpg", "images/b.jpg"]),
        ("cvat.md", "cvat", ["annotations.xml"], ["images/bolts/one.jpg"]),
        ("cvat.md", "cvat", ["annotations.xml"], ["images/one.jpg"]),
        ("ground-truth-manifest.md", "ground_truth", ["labels.manifest"], [f"images/img/{at}.jpg" for at in (1, 2, 3)]),
        ("ground-truth-manifest.md", "ground_truth", ["labels.manifest"], [f"images/{at}.jpg" for at in (1, 2, 3)]),
        ("label-studio.md", "label_studio", ["tasks.json"], ["images/one.jpg"]),
        ("label-studio.md", "label_studio", ["tasks.json"], ["images/0a1b2c3d-one.jpg"]),
        ("pascal-voc.md", "voc", ["Annotations/a.xml"], ["JPEGImages/a.jpg"]),
        ("yolo.md", "yolo", ["data.yaml", "labels/train/a.txt"], ["images/train/a.jpg"]),
    ],
)
def test_the_examples_can_be_imported(page: str, format_name: str, files: list[str], images: list[str]) -> None:
    shown = files_of(page)
    tree = MemoryTree({name: shown[name] for name in files} | dict.fromkeys(images, b""))
    format_ = recognise(tree)
    assert format_.name == format_name
    found = sound(read(format_, tree))
    assert [image.file for image in found] == images
    assert found[0].annotations
