"""Edits of an image, without a database."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightsmith.actor import acting_as
from sightsmith.errors import AlreadyExistsError, NotFoundError
from sightsmith.names import ImageName
from sightsmith_labeling.annotations import Box, NewAnnotation, Origin, numbered
from sightsmith_labeling.edited_image import EditedImage
from sightsmith_labeling.images import Image, ImageState, Problem
from sightsmith_labeling.quotas import Quotas

NAME = ImageName("p", "train", "i")
THEN = datetime(2026, 1, 1, tzinfo=UTC)
BOX = Box(1, 2, 3, 4)
news = st.builds(
    NewAnnotation,
    label=st.sampled_from("abc"),
    box=st.none() | st.builds(Box, *[st.integers(1, 3)] * 4),
    author=st.sampled_from(["", "ann"]),
)


def image(*annotations: NewAnnotation) -> Image:
    return Image(
        name=NAME,
        state=ImageState.READY,
        sha256="0" * 64,
        source="x.jpg",
        annotations=numbered(annotations, 0, THEN),
        problems=(),
        width=100,
        height=50,
        size_bytes=1,
        media_type="image/jpeg",
        revision=7,
        create_time=THEN,
        update_time=THEN,
    )


def edited(*annotations: NewAnnotation, quotas: Quotas | None = None) -> EditedImage:
    return EditedImage(image(*annotations), len(annotations), quotas or Quotas())


def contents(found: EditedImage) -> list[tuple[str, Box | None]]:
    return [annotation.content for annotation in found.annotations]


@given(st.lists(news, unique_by=lambda new: new.content), st.lists(news))
def test_replacing_gives_what_was_asked_for(before: list[NewAnnotation], after: list[NewAnnotation]) -> None:
    found = edited(*before)
    old = {annotation.content: annotation for annotation in found.annotations}
    found.replace_all(after)
    assert set(contents(found)) == {new.content for new in after}
    assert len(set(contents(found))) == len(contents(found))
    for annotation in found.annotations:
        # What stays, stays as it is; what is new gets an id that was never used.
        assert annotation == old.get(annotation.content, annotation)
        assert annotation.content in old or annotation.id > len(before)
    again = EditedImage(found.image, found.last_annotation, Quotas())
    again.replace_all(after)
    assert not again.is_changed


def test_an_edit_is_seen_in_the_image_and_on_record() -> None:
    found = edited(NewAnnotation("a"), NewAnnotation("b", BOX))
    with acting_as("ann"):
        found.add(NewAnnotation("c"))
    found.remove(2)
    after = found.image
    assert (after.revision, [one.label for one in after.annotations]) == (8, ["a", "c"])
    assert found.difference == {
        "removed": [{"id": 2, "label": "b", "origin": "person", "box": {"left": 1, "top": 2, "width": 3, "height": 4}}],
        "added": [{"id": 3, "label": "c", "origin": "person", "author": "ann"}],
    }


def test_only_a_person_is_taken_to_be_the_caller() -> None:
    found = edited()
    with acting_as("ann"):
        authors = [
            found.add(NewAnnotation("a", origin=origin, box=Box(n, 0, 1, 1))).author for n, origin in enumerate(Origin)
        ]
    assert dict(zip(Origin, authors, strict=True)) == {Origin.IMPORT: "", Origin.PERSON: "ann", Origin.MODEL: ""}


def test_what_comes_to_the_same_is_no_change() -> None:
    found = edited(NewAnnotation("a"))
    found.add(NewAnnotation("a", author="somebody else"))
    found.remove(found.add(NewAnnotation("b")).id)
    assert not found.is_changed
    assert found.image == image(NewAnnotation("a"))


def test_two_annotations_never_say_the_same() -> None:
    found = edited(NewAnnotation("a"), NewAnnotation("b"))
    with pytest.raises(AlreadyExistsError, match="annotations/1 says the same"):
        found.change(2, NewAnnotation("a"))
    found.change(2, NewAnnotation("b", BOX))
    found.add(NewAnnotation("b"))
    assert contents(found) == [("a", None), ("b", BOX), ("b", None)]


def test_what_is_not_there_cannot_be_edited() -> None:
    found = edited(NewAnnotation("a"))
    found.remove(1)
    for edit in (found.find, found.remove):
        with pytest.raises(NotFoundError, match="annotations/1"):
            edit(1)
    with pytest.raises(NotFoundError):
        found.change(1, NewAnnotation("b"))


def test_a_file_may_have_said_it_twice() -> None:
    found = edited(NewAnnotation("a"), NewAnnotation("a"))
    found.remove(2)
    found.remove(1)
    assert contents(found) == []


@pytest.mark.parametrize(
    ("box", "fields"),
    [
        (Box(0, 0, 100, 50), []),
        (Box(99.9996, 0, 0.0008, 50), []),
        (Box(-0.0001, 0, 100, 50.0005), []),
        (Box(100, 0, 1, 1), ["annotations[0].box.left"]),
        (Box(0, -1, 1, 1), ["annotations[0].box.top"]),
        (Box(0, 0, 101, 51), ["annotations[0].box.width", "annotations[0].box.height"]),
        (Box(float("nan"), 0, 1, -1), ["annotations[0].box.left", "annotations[0].box.height"]),
    ],
)
def test_boxes_lie_inside_the_image(box: Box, fields: list[str]) -> None:
    found = edited()
    found.add(NewAnnotation("a", box))
    assert [violation.field for violation in found.violations] == fields


def test_an_image_has_no_more_than_it_may() -> None:
    found = edited(NewAnnotation("a"), quotas=Quotas(labels_per_image=1, boxes_per_image=1))
    assert not list(found.violations)
    for new in (NewAnnotation("b"), NewAnnotation("b", BOX), NewAnnotation("c", BOX)):
        found.add(new)
    assert [violation.description for violation in found.violations] == [
        "an image may have at most 1 boxes, not 2",
        "an image may have at most 1 labels, not 2",
    ]


def test_settling_leaves_what_is_wrong_with_the_whole_image() -> None:
    box, whole = Problem("ERROR_INVALID_BOUNDING_BOX", "x", "bb.annotations[0]"), Problem("ERROR_INVALID_IMAGE", "y")
    found = EditedImage(replace(image(NewAnnotation("a")), problems=(box, whole)), 1, Quotas())
    found.add(NewAnnotation("a"))
    found.replace_all([NewAnnotation("a")])
    assert not found.is_changed
    found.settle_problems()
    assert found.is_changed
    assert found.image.problems == (whole,)
    assert found.difference == {"removed": [], "added": [], "settled_problems": [vars(box)]}
