"""Labelled folders."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightsmith_labeling.annotations import Box
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.folders import Folders
from sightsmith_labeling.formats.records import FormatError, Rejection
from tests.unit.labeling.formats.exports import image
from tests.unit.labeling.formats.mutations import check_image
from tests.unit.labeling.formats.trees import LIMITS, read, written


def labels(*names: str) -> dict[str, tuple[str | None, Split | None]]:
    """The label and the split of each image that is read."""
    found = {}
    for each in read(Folders(), dict.fromkeys(names, b"")):
        assert each.file == each.source
        found[each.source] = (each.annotations[0].label if each.annotations else None, each.split)
    return found


def test_the_outermost_folder_is_the_label():
    assert labels("cat/1.jpg", "cat/old/2.PNG", "dog/1.jpg", "3.jpg") == {
        "3.jpg": (None, None),
        "cat/1.jpg": ("cat", None),
        "cat/old/2.PNG": ("cat", None),
        "dog/1.jpg": ("dog", None),
    }


def test_a_folder_around_everything_means_nothing():
    assert labels("pets/cat/1.jpg", "pets/dog/1.jpg") == {
        "pets/cat/1.jpg": ("cat", None),
        "pets/dog/1.jpg": ("dog", None),
    }
    assert labels("cat/1.jpg", "cat/2.jpg") == {"cat/1.jpg": ("cat", None), "cat/2.jpg": ("cat", None)}


def test_folders_that_are_all_named_after_splits_are_splits():
    assert labels("train/cat/1.jpg", "test/cat/2.jpg", "test/3.jpg", "val/dog/4.jpg") == {
        "train/cat/1.jpg": ("cat", Split.TRAIN),
        "test/cat/2.jpg": ("cat", Split.TEST),
        "test/3.jpg": (None, Split.TEST),
        "val/dog/4.jpg": ("dog", Split.TEST),
    }
    assert labels("pets/train/cat/1.jpg", "pets/test/cat/2.jpg")["pets/test/cat/2.jpg"] == ("cat", Split.TEST)
    # "train" is a vehicle here.
    assert labels("train/1.jpg", "bus/2.jpg") == {"train/1.jpg": ("train", None), "bus/2.jpg": ("bus", None)}


def test_other_files_are_told_and_hidden_ones_are_not():
    rejection, image = read(
        Folders(), {"cat/1.jpg": b"", "cat/2.heic": b"", "README.md": b"", ".git/x.jpg": b"", "cat/notes.txt": b""}
    )
    assert isinstance(rejection, Rejection)
    assert (rejection.place.file, rejection.code) == ("cat/2.heic", "ERROR_UNSUPPORTED_IMAGE_TYPE")
    (note,) = image.notes
    assert note.message == "2 files that are no images were left out: README.md, cat/notes.txt"


@pytest.mark.parametrize(("files", "code"), [({}, "ERROR_NO_IMAGES"), ({"a.txt": b""}, "ERROR_NO_IMAGES")])
def test_without_images_there_is_nothing_to_import(files, code):
    with pytest.raises(FormatError) as refused:
        read(Folders(), files)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "said",
    [
        [("a", None), ("b", None)],
        [("a", Box(0, 0, 1, 1))],
        [("a/b", None)],
        [("../a", None)],
        [("a\\b", None)],
        [(".hidden", None)],
    ],
)
def test_what_folders_cannot_say_is_refused(said):
    with pytest.raises(FormatError) as refused:
        written(Folders(), [image("photos/1.jpg", *said)])
    assert refused.value.code == "ERROR_FORMAT_CANNOT_EXPRESS"
    assert "photos/1.jpg" in refused.value.message


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=30), max_size=6))
@settings(max_examples=60, deadline=None)
def test_any_names_of_files_are_read_or_refused(names):
    files = {"/".join(part for part in name.split("/") if part) + ".jpg": b"" for name in names}
    try:
        found = read(Folders(), files, LIMITS)
    except FormatError:
        return
    for entry in found:
        if not isinstance(entry, Rejection):
            check_image(entry)
