"""What all file trees have in common: the table of their files, with safe names, limits, and what was left out."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sightsmith_labeling.formats.records import FormatError, Place, Rejection

# What Finder and Explorer leave behind; nobody means to import it, so it is not worth a word in the report.
_JUNK_FOLDERS = frozenset({"__MACOSX", ".Spotlight-V100", ".Trashes", ".fseventsd"})
_JUNK_FILES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
_APPLE_DOUBLE = "._"

_DRIVE = re.compile(r"[A-Za-z]:")

# An archive is small if it unpacks to no more than this, however well it was packed.
_SMALL = 64 * 1024 * 1024
# The report of an import names what was left out. More than this is no longer a report.
_MOST_SKIPPED = 10_000

Where = TypeVar("Where")


@dataclass(frozen=True)
class TreeLimits:
    """What an import may unpack to at most.

    Attributes:
        files: number of files.
        file_bytes: bytes of a file; a larger one is left out.
        total_bytes: bytes of all files together.
        ratio: how many times larger than the archive its files may be; what unpacks to under 64 MiB is free of this.
        depth: folders within each other.
        name_characters: characters of a file's whole name.
    """

    files: int = 500_000
    file_bytes: int = 8 * 1024**3
    total_bytes: int = 512 * 1024**3
    ratio: int = 250
    depth: int = 32
    name_characters: int = 1024

    def unpacked_bytes(self, packed_bytes: int) -> int:
        """How much an archive of so many bytes may unpack to."""
        return min(self.total_bytes, max(_SMALL, self.ratio * packed_bytes))


class UnsafeNameError(ValueError):
    """A name that leads out of its tree, or that no system takes."""


class TreeIndex(Generic[Where]):
    """The files of a tree: name, size, and where the bytes are. Entries that cannot be used are kept as rejections.

    Args:
        name: what the whole is called in errors.
        limits: what is accepted.
        most_bytes: bytes of all files together.
    """

    def __init__(self, name: str, limits: TreeLimits, most_bytes: int) -> None:
        self._name = name
        self._limits = limits
        self._most_bytes = most_bytes
        self._bytes = 0
        self._count = 0
        self._files: dict[str, tuple[int, Where]] = {}
        self.skipped: list[Rejection] = []

    def add(self, raw_name: str, size: int, where: Where) -> None:
        """Adds a file.

        Raises:
            FormatError: if its name leads out of the tree, or if all files together pass a limit.
        """
        self._count_one()
        try:
            name = safe_name(raw_name, self._limits)
        except UnsafeNameError as error:
            raise FormatError("ERROR_UNSAFE_FILE_NAME", f"{self._name}: {error}", Place(self._name)) from error
        if _is_junk(name):
            return
        self._bytes += size
        if self._bytes > self._most_bytes:
            raise self._too_large(f"its files have more than {self._most_bytes} bytes, which is all that is accepted")
        if not _is_text(name):
            self.skip(name, "ERROR_INVALID_FILE_NAME", "the name is not text in UTF-8")
        elif size > self._limits.file_bytes:
            self.skip(name, "ERROR_FILE_TOO_LARGE", f"{size} bytes; at most {self._limits.file_bytes} are accepted")
        elif name in self._files:
            self.skip(name, "ERROR_DUPLICATE_FILE", "a file of this name came before; the first one is taken")
        else:
            self._files[name] = size, where

    def skip(self, name: str, code: str, message: str) -> None:
        """Leaves a file out, and says why."""
        if len(self.skipped) == _MOST_SKIPPED:
            raise self._too_large(f"more than {_MOST_SKIPPED} of its files cannot be used")
        self.skipped.append(Rejection(Place(_printable(name)), code, message))

    def skip_special(self, raw_name: str) -> None:
        """Leaves out what is neither a file nor a folder: links, devices, pipes."""
        self._count_one()
        if not _is_junk(raw_name):
            self.skip(raw_name, "ERROR_NOT_A_FILE", "links, devices and pipes are not followed")

    def sort(self) -> None:
        """Puts the files in the order of their names."""
        self._files = dict(sorted(self._files.items()))

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def size(self, name: str) -> int:
        """Bytes of a file.

        Raises:
            FileNotFoundError: if there is none of that name.
        """
        return self._found(name)[0]

    def where(self, name: str) -> Where:
        """Where the bytes of a file are.

        Raises:
            FileNotFoundError: if there is none of that name.
        """
        return self._found(name)[1]

    def _found(self, name: str) -> tuple[int, Where]:
        try:
            return self._files[name]
        except KeyError:
            raise FileNotFoundError(name) from None

    def _count_one(self) -> None:
        self._count += 1
        if self._count > self._limits.files:
            raise FormatError(
                "ERROR_TOO_MANY_FILES",
                f"{self._name}: it has more than {self._limits.files} files, which is all that is accepted",
                Place(self._name),
            )

    def _too_large(self, message: str) -> FormatError:
        return FormatError("ERROR_ARCHIVE_TOO_LARGE", f"{self._name}: {message}", Place(self._name))


class IndexedTree(Generic[Where]):
    """A file tree that knows its files from the start; only how they are opened is left to say."""

    def __init__(self, index: TreeIndex[Where]) -> None:
        self._index = index

    @property
    def skipped(self) -> Sequence[Rejection]:
        """What was left out, and why."""
        return self._index.skipped

    def names(self) -> Iterable[str]:
        """The names of all files, ordered."""
        return iter(self._index)

    def size(self, name: str) -> int:
        """Bytes of a file; of one in an archive, those that it claims to have.

        Raises:
            FileNotFoundError: if there is none of that name.
        """
        return self._index.size(name)


def safe_name(raw_name: str, limits: TreeLimits) -> str:
    """The name of a file in a tree: relative, `/` between its parts, no empty or `.` parts.

    A backslash is taken for a slash: old Windows tools write it into archives, and elsewhere it would be a way around
    the check for `..`.

    Raises:
        UnsafeNameError: if the name is absolute, has `..`, a drive letter or a NUL, or is too long or deep.
    """
    if len(raw_name) > limits.name_characters:
        raise UnsafeNameError(f"{_printable(raw_name[:80])}… has more than {limits.name_characters} characters")
    name = raw_name.replace("\\", "/")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if not parts or name.startswith("/") or ".." in parts or "\0" in name or _DRIVE.match(parts[0]):
        raise UnsafeNameError(f"{_printable(raw_name)} is not the name of a file inside an import")
    if len(parts) - 1 > limits.depth:
        raise UnsafeNameError(f"{_printable(raw_name)} is more than {limits.depth} folders deep")
    return "/".join(parts)


def _is_junk(name: str) -> bool:
    *folders, file = name.split("/")
    return file in _JUNK_FILES or file.startswith(_APPLE_DOUBLE) or not _JUNK_FOLDERS.isdisjoint(folders)


def _is_text(name: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _printable(name: str) -> str:
    """A name that can be stored and shown, whatever is in it."""
    return ascii(name) if not _is_text(name) or not name.isprintable() else name
