"""Tar archives as file trees."""

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from sightsmith_labeling.formats.archive_faults import refused, telling
from sightsmith_labeling.formats.tree_index import IndexedTree, TreeIndex, TreeLimits

_BUFFER = 128 * 1024

# Room for headers with long names and rights, and for no more: a header may claim any size.
_TAR_HEADER_BYTES = 256 * 1024


class TarTree(IndexedTree[int]):
    """The files of a plain tar archive, read where they lie.

    Raises:
        FormatError: if it is no sound archive, is cut off, or passes a limit.
    """

    def __init__(self, path: Path, limits: TreeLimits, name: str) -> None:
        self._file = path.open("rb")
        try:
            super().__init__(_tar_index(self._file, path.stat().st_size, limits, name))
        except BaseException:
            self._file.close()
            raise

    def open(self, name: str) -> BinaryIO:
        """Opens a file.

        Raises:
            FileNotFoundError: if there is none of that name.
        """
        slice_ = _Slice(self._file.fileno(), self._index.where(name), self._index.size(name))
        return io.BufferedReader(slice_, _BUFFER)

    def close(self) -> None:
        """Closes the archive."""
        self._file.close()


def is_tar(path: Path) -> bool:
    """Whether a file is a tar archive of this century, by its first bytes."""
    with path.open("rb") as file:
        return file.read(262)[257:] == b"ustar"


def _tar_index(file: BinaryIO, file_bytes: int, limits: TreeLimits, name: str) -> TreeIndex[int]:
    index = TreeIndex[int](name, limits, limits.total_bytes)
    for member in _tar_members(file, name):
        if member.isdir():
            continue
        if not member.isreg() or member.issparse():
            index.skip_special(member.name)
        elif member.offset_data + member.size > file_bytes:
            raise refused("ERROR_UNREADABLE_ARCHIVE", name, f"it ends within {member.name}")
        else:
            index.add(member.name, member.size, member.offset_data)
    index.sort()
    return index


def _tar_members(file: BinaryIO, name: str) -> Iterator[tarfile.TarInfo]:
    """The members of a tar archive; none is kept, because each takes a kilobyte or two."""
    headers = _Headers(file)
    # Any: the stubs ask for more of a file than reading needs, and leave `members` out.
    as_file: Any = headers
    archive: Any
    with telling(name):
        archive = tarfile.open(fileobj=as_file, mode="r:", errors="surrogateescape")  # noqa: SIM115 `file` is closed.
    while True:
        headers.left = _TAR_HEADER_BYTES
        with telling(name):
            member = archive.next()
        if member is None:
            break
        archive.members.clear()
        yield member
    # `tarfile` takes a broken header for the end.
    file.seek(archive.offset)
    if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise refused("ERROR_UNREADABLE_ARCHIVE", name, f"it is damaged at byte {archive.offset}")


class _Slice(io.RawIOBase):
    """Some bytes of an open file. Many may be open at once, because none moves the file's own position."""

    def __init__(self, descriptor: int, start: int, size: int) -> None:
        self._descriptor = descriptor
        self._start = start
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, origin + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # A buffer is always a memoryview here.
        wanted = max(0, min(len(buffer), self._size - self._at))
        data = os.pread(self._descriptor, wanted, self._start + self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class _Headers:
    """A tar archive as `tarfile` may see it: with so many bytes left to read until the next member is found."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.left = _TAR_HEADER_BYTES

    def read(self, size: int) -> bytes:
        self.left -= size
        if self.left < 0:
            raise tarfile.ReadError("a header is too long")
        return self._file.read(size)

    def seek(self, offset: int) -> int:
        return self._file.seek(offset)

    def tell(self) -> int:
        return self._file.tell()
