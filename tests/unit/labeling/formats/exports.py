"""Exports to be read again: made up by hypothesis, and what of an image has to survive."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import strategies as st

from sightsmith.database import utc_now
from sightsmith_labeling.annotations import Annotation, Box, NewAnnotation, Origin, numbered
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.fields import in_pixels
from sightsmith_labeling.formats.records import ExportedImage, ImportedImage, Rejection

# Control characters and line ends are in no label; the two others are not in XML.
NOT_IN_LABELS = ["Cc", "Cs", "Zl", "Zp"]
LABELS = st.text(
    st.characters(exclude_categories=NOT_IN_LABELS, exclude_characters="\ufffe\uffff"), min_size=1, max_size=20
).filter(str.strip) | st.sampled_from(["cat", "a b", 'say "hi"', "<a&b>", "x,y;z", "it's", " lead", "no", "1", "train"])
FILE_STEMS = st.from_regex(r"[\w(&'][\w .,()&'=+\[\]-]{0,15}[\w)]", fullmatch=True)
SIDES = st.integers(2, 5000)
SHARES = st.floats(0, 1, exclude_max=True)


@st.composite
def boxes(draw: st.DrawFn, width: int, height: int, are_whole: bool) -> Box:
    """A box inside an image, of whole pixels or of any numbers, and not smaller than anybody could draw."""
    if are_whole:
        left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
        return Box(left, top, draw(st.integers(1, width - left)), draw(st.integers(1, height - top)))
    left, top = draw(SHARES) * (width - 1), draw(SHARES) * (height - 1)
    box_width = max(draw(SHARES) * (width - left), 0.01)
    return Box(left, top, box_width, max(draw(SHARES) * (height - top), 0.01))


def image(
    file_name: str,
    *contents: tuple[str, Box | None],
    size: tuple[int, int] | None = (640, 480),
    split: Split = Split.TRAIN,
) -> ExportedImage:
    """An image with annotations."""
    annotations = numbered([NewAnnotation(label, box) for label, box in contents], 0, utc_now())
    width, height = size or (None, None)
    return ExportedImage(file_name, file_name, f"s3://bucket/{file_name}", width, height, split, annotations)


@st.composite
def images(draw: st.DrawFn, kinds: str = "mixed") -> list[ExportedImage]:
    """The images of an export, at least one.

    Args:
        draw: hypothesis' own.
        kinds: `mixed`, `boxes`, or `folder` for at most one label of the whole.
    """
    stems = draw(st.lists(FILE_STEMS, min_size=1, max_size=5, unique_by=str.casefold))
    folders = st.sampled_from(["", "", "shelf 1/", "a/b/"])
    return [
        draw(_image(f"{draw(folders)}{stem}{draw(st.sampled_from(['.jpg', '.PNG', '.webp']))}", kinds))
        for stem in stems
    ]


@st.composite
def _image(draw: st.DrawFn, file_name: str, kinds: str) -> ExportedImage:
    size = draw(SIDES), draw(SIDES)
    whole = draw(st.lists(LABELS, max_size={"mixed": 3, "boxes": 0, "folder": 1}[kinds], unique=True))
    made = [] if kinds == "folder" else draw(st.lists(st.tuples(LABELS, boxes(*size, draw(st.booleans()))), max_size=4))
    exported = image(
        file_name, *((label, None) for label in whole), *made, size=size, split=draw(st.sampled_from(Split))
    )
    origins = st.sampled_from(Origin)
    return replace(exported, annotations=tuple(replace(each, origin=draw(origins)) for each in exported.annotations))


def told(image: ExportedImage | ImportedImage) -> tuple[object, ...]:
    """What has to survive: the name, the split, and each annotation."""
    name = image.file_name if isinstance(image, ExportedImage) else image.source
    return name, image.split, contents(image.annotations)


def contents(annotations: Iterable[Annotation | NewAnnotation]) -> Sequence[tuple[object, ...]]:
    """What annotations say, in an order of its own."""
    return sorted((each.label, *_sides(each.box)) for each in annotations)


def sound(read: Iterable[ImportedImage | Rejection]) -> list[ImportedImage]:
    """Images that were read: nothing was rejected, wrong, or made simpler."""
    found = list(read)
    assert [each for each in found if isinstance(each, Rejection) or each.problems or each.notes] == []
    return [each for each in found if isinstance(each, ImportedImage)]


def assert_says_nearly_the_same(read: ImportedImage, written: ExportedImage) -> None:
    """Fails unless an image says what was written: boxes to a millionth of a pixel, those of whole pixels exactly."""
    for again, original in zip(read.annotations, written.annotations, strict=True):
        box = again.box
        if box is not None and read.relative:
            assert written.width is not None
            assert written.height is not None
            box = in_pixels(box, written.width, written.height)
        assert (again.label, _sides(box)) == (original.label, pytest.approx(_sides(original.box), abs=1e-6))
        if all(float(side).is_integer() for side in _sides(original.box)):
            assert box == original.box


def _sides(box: Box | None) -> tuple[float, ...]:
    return tuple(vars(box).values()) if box is not None else ()
