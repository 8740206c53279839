"""File trees and sinks in memory, and how what was written is read again."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from sightsmith_labeling.formats.records import (
    ExportedImage,
    Format,
    ImportedImage,
    ReadLimits,
    Rejection,
)

LIMITS = ReadLimits(
    lines=250_000,
    line_characters=100_000,
    labels_per_image=1000,
    boxes_per_image=1000,
    label_characters=255,
    source_characters=1024,
)


class MemoryTree:
    """A `FileTree` of files that are in memory."""

    def __init__(self, files: Mapping[str, bytes | str]) -> None:
        self._files = {
            name: content.encode() if isinstance(content, str) else content for name, content in sorted(files.items())
        }

    @classmethod
    def of_folder(cls, folder: Path) -> "MemoryTree":
        """The files below a folder."""
        paths = [path for path in folder.rglob("*") if path.is_file()]
        return cls({path.relative_to(folder).as_posix(): path.read_bytes() for path in paths})

    def names(self) -> Iterable[str]:
        return list(self._files)

    def size(self, name: str) -> int:
        return len(self._files[name])

    def open(self, name: str) -> BinaryIO:
        try:
            return io.BytesIO(self._files[name])
        except KeyError:
            raise FileNotFoundError(name) from None


class MemorySink:
    """A `Sink` that keeps the files in memory, and holds the writer to closing one before it begins another."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self._is_open = False

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        assert not self._is_open, f"{name} begins before the file before it has ended"
        assert name not in self.files, f"{name} is written twice"
        self._is_open = True
        file = io.BytesIO()
        yield file
        self.files[name] = file.getvalue()
        self._is_open = False


def read(
    format_: Format, files: Mapping[str, bytes | str] | MemoryTree, limits: ReadLimits = LIMITS
) -> list[ImportedImage | Rejection]:
    """Everything that a format reads from files."""
    tree = files if isinstance(files, MemoryTree) else MemoryTree(files)
    with TemporaryDirectory() as scratch:
        return list(format_.read(tree, limits, Path(scratch)))


def written(format_: Format, images: Iterable[ExportedImage], labels: Sequence[str] | None = None) -> dict[str, bytes]:
    """The files that a format writes; the labels are those of the images if none are given."""
    images = list(images)
    if labels is None:
        labels = sorted({annotation.label for image in images for annotation in image.annotations})
    sink = MemorySink()
    with TemporaryDirectory() as scratch:
        format_.write(iter(images), labels, sink, Path(scratch))
    return sink.files
