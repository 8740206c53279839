"""Files that gzip, bzip2 or xz has packed."""

import bz2
import gzip
import lzma
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from sightsmith_labeling.formats.archive_faults import refused, telling
from sightsmith_labeling.formats.tree_index import TreeLimits

_CHUNK = 1024 * 1024
_XZ_MEMORY = 128 * 1024 * 1024  # `xz -9` needs 65 MiB to unpack.


def decompressed(path: Path, name: str, limits: TreeLimits, target: Path) -> bool:
    """Unpacks a file that gzip, bzip2 or xz has packed.

    Args:
        path: the packed file.
        name: what it is called in errors.
        limits: how much it may unpack to.
        target: is written.

    Returns:
        Whether it was packed; nothing is written if it was not.

    Raises:
        FormatError: if it is damaged or unpacks to too much.
    """
    with path.open("rb") as packed:
        start = packed.read(6)
        unpack = next((unpack for magic, unpack in _UNPACKERS.items() if start.startswith(magic)), None)
        if unpack is None:
            return False
        packed.seek(0)
        left = limits.unpacked_bytes(path.stat().st_size)
        with target.open("wb") as file:
            for chunk in _told(unpack(packed), name):
                left -= len(chunk)
                if left < 0:
                    raise refused("ERROR_ARCHIVE_TOO_LARGE", name, "it unpacks to more than is accepted")
                file.write(chunk)
    return True


def _gzip_chunks(packed: BinaryIO) -> Iterator[bytes]:
    with gzip.open(packed) as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _bzip2_chunks(packed: BinaryIO) -> Iterator[bytes]:
    with bz2.open(packed) as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _xz_chunks(packed: BinaryIO) -> Iterator[bytes]:
    # Not `lzma.open`, which has no limit on memory: a header may ask for gigabytes.
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
    while not decompressor.eof:
        data = packed.read(_CHUNK) if decompressor.needs_input else b""
        if decompressor.needs_input and not data:
            raise EOFError("it is cut off")
        yield decompressor.decompress(data, _CHUNK)
    if decompressor.unused_data.strip(b"\0") or packed.read(1):
        raise lzma.LZMAError("there is something after its end")


_UNPACKERS: dict[bytes, Callable[[BinaryIO], Iterator[bytes]]] = {
    b"\x1f\x8b": _gzip_chunks,
    b"BZh": _bzip2_chunks,
    b"\xfd7zXZ\0": _xz_chunks,
}


def _told(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    with telling(name):
        yield from chunks
