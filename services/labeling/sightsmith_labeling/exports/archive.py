"""The archive that an export is written to."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

# The same files give the same archive, whenever it is written: 1980 is where the times of zip archives begin.
_TIME = (1980, 1, 1, 0, 0, 0)
_READABLE_BY_ALL = 0o644 << 16


class ZipSink:
    """A zip archive on disk, as formats write to it. Implements `Sink`."""

    def __init__(self, path: Path) -> None:
        self._archive = zipfile.ZipFile(path, "w", allowZip64=True)

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """Begins a file; it must be closed before the next one begins."""
        with self._archive.open(_member(name, zipfile.ZIP_DEFLATED), "w", force_zip64=True) as file:
            yield cast(BinaryIO, file)

    def add(self, name: str, data: bytes) -> None:
        """Adds an image, as it is: images are packed already."""
        self._archive.writestr(_member(name, zipfile.ZIP_STORED), data)

    def close(self) -> None:
        """Finishes the archive."""
        self._archive.close()


def _member(name: str, packing: int) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, _TIME)
    member.compress_type = packing
    member.external_attr = _READABLE_BY_ALL
    return member
