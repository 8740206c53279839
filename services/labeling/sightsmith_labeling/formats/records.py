"""What every format reads and writes: images with their annotations, one after the other."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar, Protocol

from sightsmith_labeling.annotations import Annotation, NewAnnotation
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.images import Problem


@dataclass(frozen=True)
class Place:
    """Where in an import something stands.

    Attributes:
        file: path inside the import.
        line: counted from 1; 0 where the format has no lines that a person would count.
    """

    file: str
    line: int = 0


@dataclass(frozen=True)
class ImportedImage:
    """An image as an import tells of it.

    Attributes:
        source: how the import names the image: a file name, a path or an `s3://` URL.
        width: upright width in pixels; None if the import does not say.
        height: upright height in pixels; None if the import does not say.
        annotations: those that are sound, with origin and confidence as the format has them; the job adds its name.
        split: what the image is for; None if the import does not say.
        problems: what is wrong with the rest; the image is imported all the same.
        file: name of the image's bytes in the file tree; None if they are not in it.
        relative: whether the boxes are shares of the image's width and height, 0 to 1, and not pixels: some formats
            need the image's size, which is not known yet. `fields.in_pixels` turns them once it is.
        notes: what was left out or made simpler though nothing is wrong; only the report of the import tells of it.
    """

    place: Place
    source: str
    width: int | None = None
    height: int | None = None
    annotations: tuple[NewAnnotation, ...] = ()
    split: Split | None = None
    problems: tuple[Problem, ...] = ()
    file: str | None = None
    relative: bool = False
    notes: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class Rejection:
    """A line, or what the format has for one, that cannot be imported at all, and why.

    Attributes:
        code: stable, as in `ERROR_INVALID_JSON_LINE`.
        path: what it is about inside the line, as in `bb.annotations[2]`; empty for the whole line.
    """

    place: Place
    code: str
    message: str
    path: str = ""


@dataclass(frozen=True)
class ReadLimits:
    """What a file may be at most. Every reader holds them, so that no file makes it use more memory or time.

    Attributes:
        lines: lines of a manifest, or images of another format.
        line_characters: characters of a line, or of one JSON value or XML element.
        labels_per_image: labels of the whole image.
        boxes_per_image: boxes.
        label_characters: characters of a label's name.
        source_characters: characters of an image's name.
    """

    lines: int
    line_characters: int
    labels_per_image: int
    boxes_per_image: int
    label_characters: int
    source_characters: int


class FormatError(Exception):
    """The import cannot be read, or not to its end: what was yielded before may be imported, and nothing after it.

    Attributes:
        code: stable, as in `ERROR_EMPTY_MANIFEST`.
        place: where it was seen.
    """

    def __init__(self, code: str, message: str, place: Place) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.place = place


class FileTree(Protocol):
    """The files of an import, by relative names with `/` between their parts; no name leads out of the tree."""

    def names(self) -> Iterable[str]:
        """The names of all files, ordered."""

    def size(self, name: str) -> int:
        """Bytes of a file."""

    def open(self, name: str) -> BinaryIO:
        """Opens a file for reading from its beginning to its end.

        Raises:
            FileNotFoundError: if there is none of that name.
        """


@dataclass(frozen=True)
class ExportedImage:
    """An image as an export tells of it.

    Attributes:
        file_name: relative path of the image, unique in the export even without its suffix (YOLO and Pascal VOC tell
            images apart by the rest) and safe on every file system. Its bytes go to `Format.image_path`.
        source: where the image came from, as the client named it.
        url: where its bytes lie, as `s3://bucket/key`.
        width: upright width in pixels; None while it is not known.
        height: upright height in pixels; None while it is not known.
        is_packed: whether the bytes come along in the export.
    """

    file_name: str
    source: str
    url: str
    width: int | None
    height: int | None
    split: Split
    annotations: tuple[Annotation, ...]
    is_packed: bool = False


class Sink(Protocol):
    """Takes the files of an export, one after the other."""

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Begins a file; it must be closed before the next one begins."""


# Takes how many images and rejections a reader will yield. There may be a few more: what belongs to no image is only
# found at the end.
Expect = Callable[[int], None]


def expect_nothing(count: int) -> None:
    """The `Expect` of whoever does not want to know."""


class Format(Protocol):
    """A kind of annotation file. Readers and writers hold neither the whole import nor the whole export in memory."""

    name: ClassVar[str]

    def read(
        self, tree: FileTree, limits: ReadLimits, scratch: Path, expect: Expect = expect_nothing
    ) -> Iterator[ImportedImage | Rejection]:
        """Reads an import; always in the same order, so that it can go on where it was cut off.

        Args:
            tree: the files.
            limits: what is accepted.
            scratch: an empty folder for the reader's own use.
            expect: is told once how much there will be; not at all by formats that only the end tells it.

        Raises:
            FormatError: if the import as a whole cannot be read, before anything is yielded where that is possible.
        """

    def image_path(self, image: ExportedImage) -> str:
        """Where in an export the bytes of an image belong, so that other tools for the format find them."""

    def write(self, images: Iterable[ExportedImage], labels: Sequence[str], sink: Sink, scratch: Path) -> None:
        """Writes an export, except for the images' bytes.

        Args:
            images: the images; only gone through once.
            labels: every label of the project, ordered; what numbers stand for.
            sink: takes the files.
            scratch: an empty folder for the writer's own use.

        Raises:
            FormatError: if the format cannot say what the images hold.
        """
