"""Folders of images: the name of a folder is the label of the images in it."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.draft import ImageDraft
from sightsmith_labeling.formats.fields import FieldError, shown, source_of
from sightsmith_labeling.formats.image_files import is_image
from sightsmith_labeling.formats.records import (
    Expect,
    ExportedImage,
    FileTree,
    FormatError,
    ImportedImage,
    Place,
    ReadLimits,
    Rejection,
    Sink,
    expect_nothing,
)
from sightsmith_labeling.formats.splits import split_of
from sightsmith_labeling.formats.unsayable import unsayable

_FOLDERS = {Split.TRAIN: "train", Split.TEST: "test"}

# Pictures and films that are no accepted images: whoever sent them meant them to be imported.
_OTHER_PICTURES = (
    *(".heic", ".heif", ".avif", ".jp2", ".jxl", ".svg", ".psd", ".ico", ".pdf"),
    *(".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2"),
    *(".mp4", ".mov", ".avi", ".mkv", ".webm"),
)
_NAMED_FILES = 5


class Folders:
    """Reads and writes labelled folders.

    The label of an image is the name of the outermost folder that it is in, as in Custom Labels; deeper folders mean
    nothing, and images in no folder have no label. Two things are looked through before that: a single folder around
    everything, with all images in folders inside it; and folders named `train`, `test`, `val` or the like, if there are
    no others, which say what their images are for.
    """

    name: ClassVar[str] = "folders"

    def read(
        self, tree: FileTree, limits: ReadLimits, scratch: Path, expect: Expect = expect_nothing
    ) -> Iterator[ImportedImage | Rejection]:
        """Reads an import; see `Format.read`.

        Hidden files do not exist. Other files that are no images are left out, and the first image has a note of them;
        pictures and films of kinds that are not accepted are rejected one by one.
        """
        names = [name for name in tree.names() if not _is_hidden(name)]
        images = [name for name in names if is_image(name)]
        if not images:
            raise FormatError("ERROR_NO_IMAGES", "there are no images in the import", Place(""))
        if len(images) > limits.lines:
            message = f"there are {len(images)} images; at most {limits.lines} are accepted"
            raise FormatError("ERROR_MANIFEST_ROWS_EXCEEDS_MAXIMUM", message, Place(""))
        others = [name for name in names if not is_image(name)]
        pictures = [name for name in others if name.lower().endswith(_OTHER_PICTURES)]
        expect(len(images) + len(pictures))
        for name in pictures:
            yield Rejection(
                Place(name), "ERROR_UNSUPPORTED_IMAGE_TYPE", "files of this kind are not accepted as images"
            )
        note = _note_of(sorted(set(others) - set(pictures)))
        yield from _read_images(images, limits, note)

    def image_path(self, image: ExportedImage) -> str:
        """Where an image's bytes belong: in the folder of its split, and there in the one of its label.

        Raises:
            FormatError: if it has several labels, boxes, or a label that no folder can be named after.
        """
        label = _only_label(image)
        if label is None:
            # A folder of its name would be a label: what was a path becomes a single name, still unlike all others.
            return f"{_FOLDERS[image.split]}/{image.file_name.replace('%', '%25').replace('/', '%2F')}"
        return f"{_FOLDERS[image.split]}/{label}/{image.file_name}"

    def write(self, images: Iterable[ExportedImage], labels: Sequence[str], sink: Sink, scratch: Path) -> None:
        """Writes nothing, for everything is told by where the images lie. See `Format.write`.

        Raises:
            FormatError: if that cannot be told of an image; see `image_path`.
        """
        for image in images:
            self.image_path(image)


def _read_images(names: Sequence[str], limits: ReadLimits, note: str) -> Iterator[ImportedImage | Rejection]:
    wrapping = _wrapping_folders(names)
    has_splits = all(split_of(folder) for folder in _outermost(names, wrapping))
    for name in names:
        try:
            source = source_of(name, limits)
        except FieldError as error:
            yield Rejection(Place(name), error.code, str(error))
            continue
        draft = ImageDraft(Place(name), source, limits, file=name)
        *folders, _ = name.split("/")[wrapping:]
        if has_splits:
            draft.split = split_of(folders.pop(0))
        if folders:
            draft.add_label(folders[0])
        if note:
            draft.add_note("WARNING_FILES_LEFT_OUT", note)
            note = ""
        yield draft.finished()


def _wrapping_folders(names: Sequence[str]) -> int:
    """How many folders are around everything and mean nothing: one or none."""
    parts = [name.split("/") for name in names]
    first = {path[0] for path in parts}
    is_wrapped = len(first) == 1 and split_of(*first) is None and all(len(path) > 2 for path in parts)
    return 1 if is_wrapped else 0


def _outermost(names: Sequence[str], wrapping: int) -> set[str]:
    """The outermost folders, with an empty name if some images are in none."""
    paths = (name.split("/")[wrapping:] for name in names)
    return {path[0] if len(path) > 1 else "" for path in paths}


def _only_label(image: ExportedImage) -> str | None:
    labels = {annotation.label for annotation in image.annotations}
    if len(labels) > 1 or any(annotation.box is not None for annotation in image.annotations):
        reason = "it has boxes or several labels, and a folder can only tell one label of a whole image"
        raise unsayable(image, "labelled folders", reason)
    label = next(iter(labels), None)
    if label is not None and (label.startswith(".") or "/" in label or "\\" in label):
        raise unsayable(image, "labelled folders", f"no folder can be named after its label {shown(label)}")
    return label


def _note_of(others: Sequence[str]) -> str:
    if not others:
        return ""
    named = ", ".join(others[:_NAMED_FILES]) + (", …" if len(others) > _NAMED_FILES else "")
    return f"{len(others)} files that are no images were left out: {named}"


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))
