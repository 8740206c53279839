"""An export of every format is recognised and read again without its name, with its images and without."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from sightsmith_labeling.annotations import Box
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.catalogue import FORMATS, recognise
from sightsmith_labeling.formats.fields import in_pixels
from sightsmith_labeling.formats.records import ExportedImage, Format, FormatError, ImportedImage
from tests.unit.labeling.formats.exports import contents, image, sound
from tests.unit.labeling.formats.trees import LIMITS, MemoryTree, read, written

SIZE = (640, 480)
CAT, DOG = ("cat", None), ("dog", None)
EAR, TAIL = ("ear", Box(10, 20, 100, 50)), ("tail, long", Box(300, 200, 80, 60))
EXPORTS = {
    "labels": [image("a/1.jpg", CAT), image("a/2.png", DOG), image("3.jpg", CAT, split=Split.TEST)],
    "labels of some": [image("a/1.jpg"), image("a/2.png", DOG), image("3.jpg", split=Split.TEST)],
    "several labels": [image("a/1.jpg", CAT, DOG), image("3.jpg", CAT, split=Split.TEST)],
    "boxes": [image("a/1.jpg", EAR, TAIL), image("a/2.png"), image("3.jpg", TAIL, split=Split.TEST)],
    "both": [image("a/1.jpg", CAT, DOG, EAR), image("a/2.png", TAIL), image("3.jpg", CAT, split=Split.TEST)],
    "nothing": [image("a/1.jpg"), image("3.jpg", split=Split.TEST)],
}
CANNOT_SAY = {("yolo", "both"), ("yolo", "several labels")} | {
    ("folders", kind) for kind in ("boxes", "both", "several labels")
}

# Read from beginning to end, and only the end tells how many images there are.
READ_ONCE = {"label_studio", "cvat"}


@pytest.mark.parametrize("with_images", [True, False], ids=["with images", "without images"])
@pytest.mark.parametrize("kind", EXPORTS)
@pytest.mark.parametrize("name", FORMATS)
def test_an_export_needs_no_format_to_be_imported(name: str, kind: str, with_images: bool) -> None:
    format_, export = FORMATS[name], EXPORTS[kind]
    if (name, kind) in CANNOT_SAY:
        with pytest.raises(FormatError) as refused:
            written(format_, export)
        assert refused.value.code == "ERROR_FORMAT_CANNOT_EXPRESS"
        return
    if name == "folders" and not with_images:
        return  # The servicer refuses it: nothing would be in it.
    images = {format_.image_path(image): b"pixels" for image in export} if with_images else {}
    tree = MemoryTree(written(format_, export) | images)
    assert recognise(tree) is format_
    found = sound(read(format_, tree))
    assert _said(found) == _said(export)
    assert {image.file for image in found} == (set(images) or {None})


@pytest.mark.parametrize("format_", FORMATS.values(), ids=FORMATS)
def test_readers_tell_early_how_much_there_is(format_: Format, tmp_path: Path) -> None:
    export = EXPORTS["labels"]
    images = {format_.image_path(image): b"pixels" for image in export}
    expected: list[int] = []
    found = format_.read(MemoryTree(written(format_, export) | images), LIMITS, tmp_path, expected.append)
    next(found)
    assert expected == ([] if format_.name in READ_ONCE else [len(export)])
    assert len(list(found)) == len(export) - 1


def _said(images: Sequence[ExportedImage | ImportedImage]) -> Sequence[tuple[object, ...]]:
    """What each image is for and what is on it; what it is called may change with the format."""
    return sorted((image.split, _contents_in_pixels(image)) for image in images)


def _contents_in_pixels(image: ExportedImage | ImportedImage) -> Sequence[tuple[object, ...]]:
    if isinstance(image, ExportedImage) or not image.relative:
        return contents(image.annotations)
    return sorted(
        (label, *(vars(in_pixels(Box(*sides), *SIZE)).values() if sides else ()))
        for label, *sides in contents(image.annotations)
    )
