"""Zip archives as file trees."""

import io
import os
import struct
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, BinaryIO

from sightsmith_labeling.formats.archive_faults import refused, telling
from sightsmith_labeling.formats.tree_index import IndexedTree, TreeIndex, TreeLimits

_BUFFER = 128 * 1024

# APPNOTE.TXT 6.3.10, 4.3.7 and 4.3.12: the fixed parts of the headers of a file.
_LOCAL_HEADER = 30
_CENTRAL_HEADER = 46
# 4.3.14 to 4.3.16: what stands at the end, before a comment of up to 64 KiB.
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_END_64_LOCATOR = struct.Struct("<4sLQL")
_MOST_COMMENT = 0xFFFF
_ENCRYPTED = 0x1


class ZipTree(IndexedTree[zipfile.ZipInfo]):
    """The files of a zip archive, unpacked as they are read.

    Sizes in the headers are only claims: no more bytes than claimed are unpacked, and the claims keep the limits.

    Raises:
        FormatError: if it is no sound archive, is encrypted, is packed in an unusual way, or passes a limit.
    """

    def __init__(self, path: Path, limits: TreeLimits, name: str) -> None:
        packed_bytes = path.stat().st_size
        self._file = path.open("rb")
        try:
            with telling(name):
                self._archive = _opened_zip(self._file, packed_bytes, limits, name)
            super().__init__(_zip_index(self._archive, packed_bytes, limits, name))
        except BaseException:
            self._file.close()
            raise

    def open(self, name: str) -> BinaryIO:
        """Opens a file.

        Raises:
            FileNotFoundError: if there is none of that name.
            FormatError: if its bytes are damaged; also while reading.
        """
        info = self._index.where(name)
        with telling(name):
            return io.BufferedReader(_Telling(self._archive.open(info), name), _BUFFER)

    def close(self) -> None:
        """Closes the archive."""
        self._archive.close()
        self._file.close()


def is_zip(path: Path) -> bool:
    """Whether a file is a zip archive, by its first bytes."""
    with path.open("rb") as file:
        return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")


def _opened_zip(file: BinaryIO, packed_bytes: int, limits: TreeLimits, name: str) -> zipfile.ZipFile:
    # `ZipFile` reads the whole directory into memory, where it is ten times as large as on disk: look first.
    if _directory_bytes(file, packed_bytes) > limits.files * (_CENTRAL_HEADER + limits.name_characters):
        raise refused("ERROR_TOO_MANY_FILES", name, f"it has more than {limits.files} files")
    return zipfile.ZipFile(file)


def _zip_index(
    archive: zipfile.ZipFile, packed_bytes: int, limits: TreeLimits, name: str
) -> TreeIndex[zipfile.ZipInfo]:
    index = TreeIndex[zipfile.ZipInfo](name, limits, limits.unpacked_bytes(packed_bytes))
    members = [info for info in archive.infolist() if not info.is_dir()]
    _refuse_overlap(members, name)
    for info in members:
        if info.flag_bits & _ENCRYPTED:
            raise refused("ERROR_ENCRYPTED_ARCHIVE", name, f"{info.filename} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            # The other methods unpack a few kilobytes to a hundred megabytes at once.
            raise refused("ERROR_UNREADABLE_ARCHIVE", name, f"{info.filename} is neither stored nor deflated")
        if _is_special(info):
            index.skip_special(info.filename)
        else:
            # Where a NUL stands, `filename` ends and `orig_filename` goes on: the index must see it.
            index.add(info.orig_filename, info.file_size, info)
    index.sort()
    return index


def _directory_bytes(file: BinaryIO, file_bytes: int) -> int:
    """Bytes of a zip archive's directory, as its end says."""
    tail_bytes = min(file_bytes, _MOST_COMMENT + _END.size + _END_64_LOCATOR.size)
    file.seek(file_bytes - tail_bytes)
    tail = file.read(tail_bytes)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0:
        raise zipfile.BadZipFile("its end is missing")
    directory = int(_END.unpack_from(tail, at)[5])
    locator = tail[max(0, at - _END_64_LOCATOR.size) : at]
    if locator.startswith(b"PK\x06\x07"):
        file.seek(_END_64_LOCATOR.unpack(locator)[2])
        end_64 = file.read(_END_64.size)
        if end_64.startswith(b"PK\x06\x06"):
            directory = max(directory, _END_64.unpack(end_64)[8])
    return directory


def _refuse_overlap(members: Iterable[zipfile.ZipInfo], name: str) -> None:
    """Refuses an archive whose files share bytes: that is how a small one unpacks to petabytes (Fifield, 2019)."""
    end = 0
    for info in sorted(members, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise refused("ERROR_UNREADABLE_ARCHIVE", name, f"{info.orig_filename!r} overlaps another file")
        end = info.header_offset + _LOCAL_HEADER + info.compress_size


def _is_special(info: zipfile.ZipInfo) -> bool:
    """Whether a Unix tool packed it from a link, a device or a pipe."""
    kind = info.external_attr >> 16 & 0o170000
    return kind not in (0, 0o100000)


class _Telling(io.RawIOBase):
    """A file of a zip archive that tells faults as a `FormatError`."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.seekable()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        with telling(self._name):
            return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # A buffer is always a memoryview here.
        with telling(self._name):
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()
