"""Reader of compiled Qt resource files (`.rcc`), in which many free programs ship their pictures.

The layout is that of Qt's own tool `rcc` and of `QResource` (qtbase, `src/corelib/io/qresource.cpp`), formats 1 to 3.
All integers are big-endian. A header points at three parts: a tree of fixed-size nodes, a table of names, and the
files' contents. The file is taken for hostile: every offset is checked, the tree may not loop, a name may not leave
its folder, and nothing is unpacked beyond a stated size.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

MAGIC = b"qres"
FORMATS = (1, 2, 3)
MAX_ENTRIES = 100_000
MAX_DEPTH = 64
MAX_NAME_BYTES = 255  # What Linux filesystems allow for one name.
DEFAULT_MAX_BYTES = 64 * 1024 * 1024

_HEADER = struct.Struct(">IIII")  # after the magic: format, offsets of tree, contents and names
_NODE_HEAD = struct.Struct(">IH")  # offset of the name, flags
_FOLDER_TAIL = struct.Struct(">II")  # number of children, index of the first one
_FILE_TAIL = struct.Struct(">HHI")  # country, language, offset of the content
_NAME_HEAD = struct.Struct(">HI")  # length in UTF-16 units, hash
_LENGTH = struct.Struct(">I")

_NODE_BYTES_FORMAT_1 = 14
_NODE_BYTES = 22  # Since format 2 each node ends with an 8-byte time of change.

_ZLIB = 1
_FOLDER = 2
_ZSTD = 4


class ResourceError(ValueError):
    """The bytes are no well-formed Qt resource file."""


class UnsupportedCompressionError(ResourceError):
    """The file is packed with a method that this reader does not know (Zstandard)."""


@dataclass(frozen=True)
class ResourceEntry:
    """One file inside a resource file: its path (`a/b/c.png`, relative, without `.` or `..`) and where it lies."""

    path: str
    flags: int
    offset: int


class QtResources:
    """The files inside one compiled Qt resource file."""

    def __init__(self, data: bytes, max_file_bytes: int = DEFAULT_MAX_BYTES) -> None:
        """Opens `data`, the whole file; no single file inside may unpack to more than `max_file_bytes`.

        Raises:
            ResourceError: the header is not that of a Qt resource file of format 1, 2 or 3.
        """
        if not data.startswith(MAGIC):
            raise ResourceError("not a Qt resource file: it does not start with 'qres'")
        version, self._tree, self._contents, self._names = _unpack(_HEADER, data, len(MAGIC), "header")
        if version not in FORMATS:
            raise ResourceError(f"Qt resource format {version} is not supported (1 to 3 are)")
        self._data = data
        self._node_bytes = _NODE_BYTES_FORMAT_1 if version == 1 else _NODE_BYTES
        self._max_file_bytes = max_file_bytes

    def entries(self) -> Iterator[ResourceEntry]:
        """Walks the tree and gives every file, folder by folder.

        Raises:
            ResourceError: the tree points outside the data, loops, is too deep or too large, or holds a name that is
                no plain file name.
        """
        seen: set[int] = set()
        waiting = [(0, "", 0)]  # node, path of the folder it lies in, depth
        while waiting:
            node, parent, depth = waiting.pop()
            if node in seen or depth > MAX_DEPTH:
                raise ResourceError(f"the resource tree loops or is deeper than {MAX_DEPTH}")
            seen.add(node)
            start = self._tree + node * self._node_bytes
            name, flags = _unpack(_NODE_HEAD, self._data, start, "tree")
            path = self._join(parent, name) if node else ""
            if flags & _FOLDER:
                count, first = _unpack(_FOLDER_TAIL, self._data, start + _NODE_HEAD.size, "tree")
                if len(seen) + len(waiting) + count > MAX_ENTRIES:
                    raise ResourceError(f"the resource tree has more than {MAX_ENTRIES} entries")
                waiting.extend((first + child, path, depth + 1) for child in reversed(range(count)))
            elif node:
                _, _, offset = _unpack(_FILE_TAIL, self._data, start + _NODE_HEAD.size, "tree")
                yield ResourceEntry(path, flags, self._contents + offset)

    def read(self, entry: ResourceEntry) -> bytes:
        """Unpacks one file.

        Raises:
            UnsupportedCompressionError: the file is packed with Zstandard.
            ResourceError: the content lies outside the data, is damaged, or is larger than allowed.
        """
        (length,) = _unpack(_LENGTH, self._data, entry.offset, entry.path)
        start = entry.offset + _LENGTH.size
        packed = self._data[start : start + length]
        if len(packed) != length:
            raise ResourceError(f"{entry.path}: its content reaches past the end of the file")
        if entry.flags & _ZSTD:
            raise UnsupportedCompressionError(f"{entry.path}: packed with Zstandard, which is not supported")
        if entry.flags & _ZLIB:
            return self._inflate(entry.path, packed)
        if length > self._max_file_bytes:
            raise ResourceError(f"{entry.path}: {length} bytes, more than the {self._max_file_bytes} allowed")
        return packed

    def _inflate(self, path: str, packed: bytes) -> bytes:
        """Undoes Qt's `qCompress`: a zlib stream after its unpacked size, which is also the most that we unpack."""
        (size,) = _unpack(_LENGTH, packed, 0, path)
        if size > self._max_file_bytes:
            raise ResourceError(f"{path}: unpacks to {size} bytes, more than the {self._max_file_bytes} allowed")
        stream = zlib.decompressobj()
        try:
            # One byte more than claimed, because zlib takes a limit of 0 for none, and so that excess shows.
            content = stream.decompress(packed[_LENGTH.size :], size + 1)
        except zlib.error as error:
            raise ResourceError(f"{path}: damaged ({error})") from error
        if len(content) != size or not stream.eof:
            raise ResourceError(f"{path}: damaged (its content is not of the size it claims)")
        return content

    def _join(self, parent: str, name_offset: int) -> str:
        start = self._names + name_offset
        units, _ = _unpack(_NAME_HEAD, self._data, start, "names")
        raw = self._data[start + _NAME_HEAD.size : start + _NAME_HEAD.size + 2 * units]
        try:
            name = raw.decode("utf-16-be")
        except UnicodeDecodeError as error:
            raise ResourceError(f"a name is not valid UTF-16 ({error.reason})") from error
        if len(raw) != 2 * units or not _is_plain_name(name):
            raise ResourceError(f"{name!r} is no plain file name")
        return f"{parent}/{name}" if parent else name


def _is_plain_name(name: str) -> bool:
    """Whether a path made of such names stays inside its folder on every system."""
    too_long = len(name.encode()) > MAX_NAME_BYTES
    return name not in {"", ".", ".."} and not too_long and not any(char in "/\\:\0" for char in name)


def _unpack(layout: struct.Struct, data: bytes, offset: int, part: str) -> tuple[int, ...]:
    try:
        return layout.unpack_from(data, offset)
    except struct.error as error:
        raise ResourceError(f"{part}: reaches past the end of the file") from error
