"""The files of an import, wherever they lie: one file, a folder, a zip or tar archive.

Names are relative, use `/` and never lead out of the tree. An archive with a name that would is refused as a whole;
links, devices and pipes are left out and told in `skipped`; so are files that are too large and second files of one
name. An archive inside an archive is a file like any other and stays packed. Names that differ in upper and lower case
are different names. What macOS and Windows leave behind (`__MACOSX`, `.DS_Store`, …) does not exist.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from sightsmith_labeling.formats.packed_files import decompressed
from sightsmith_labeling.formats.records import FileTree, FormatError, Place, Rejection
from sightsmith_labeling.formats.tar_archives import TarTree, is_tar
from sightsmith_labeling.formats.tree_index import IndexedTree, TreeIndex, TreeLimits
from sightsmith_labeling.formats.zip_archives import ZipTree, is_zip

_PACKED_SUFFIXES = (".gz", ".bz2", ".xz")
# A reader is one thread of several: each time it asks for more, it gives the interpreter away and waits for it again.
_BUFFER_BYTES = 1024 * 1024


class ReportingTree(FileTree, Protocol):
    """A file tree that tells what it left out."""

    @property
    def skipped(self) -> Sequence[Rejection]:
        """What was left out, and why."""


@contextmanager
def open_tree(path: Path, limits: TreeLimits, scratch: Path, name: str = "") -> Iterator[ReportingTree]:
    """Opens the files of an import. Archives are recognised by their content, not by their name.

    Args:
        path: a folder, an archive (zip, tar, or tar packed with gzip, bzip2 or xz) or any other single file, packed
            with gzip, bzip2 or xz or not.
        limits: what is accepted.
        scratch: a folder of the caller's; packed files are unpacked there, in one file of a fixed name.
        name: what a single file is called in the tree, and an archive in errors; its own name if empty.

    Raises:
        FormatError: if an archive is damaged, encrypted or unsafe, or passes a limit.
    """
    name = name or path.name
    if path.is_dir():
        yield FolderTree(path, limits)
        return
    unpacked = scratch / "unpacked"
    if decompressed(path, name, limits, unpacked):
        path, name = unpacked, _without_packed_suffix(name)
    if is_zip(path):
        with closing(ZipTree(path, limits, name)) as zip_tree:
            yield zip_tree
    elif is_tar(path) or name.endswith(".tar"):
        with closing(TarTree(path, limits, name)) as tar_tree:
            yield tar_tree
    else:
        yield SingleFile(path, limits, name)


class SingleFile(IndexedTree[Path]):
    """A tree of one file.

    Raises:
        FormatError: if the file is too large or cannot have that name.
    """

    def __init__(self, path: Path, limits: TreeLimits, name: str) -> None:
        index = TreeIndex[Path](name, limits, limits.total_bytes)
        index.add(name, path.stat().st_size, path)
        super().__init__(index)
        if self.skipped:
            refused = self.skipped[0]
            raise FormatError(refused.code, f"{name}: {refused.message}", refused.place)

    def open(self, name: str) -> BinaryIO:
        """Opens the file.

        Raises:
            FileNotFoundError: if it has another name.
        """
        return self._index.where(name).open("rb", buffering=_BUFFER_BYTES)


class FolderTree(IndexedTree[Path]):
    """A folder on disk with all that is below it, as it is now.

    Raises:
        FormatError: if it passes a limit.
    """

    def __init__(self, root: Path, limits: TreeLimits) -> None:
        index = TreeIndex[Path](root.name, limits, limits.total_bytes)
        for entry in _entries(root, limits.depth):
            name = os.path.relpath(entry.path, root)
            if not entry.is_file(follow_symlinks=False):
                index.skip_special(name)
            else:
                index.add(name, entry.stat(follow_symlinks=False).st_size, Path(entry.path))
        index.sort()
        super().__init__(index)

    def open(self, name: str) -> BinaryIO:
        """Opens a file.

        Raises:
            FileNotFoundError: if there is none of that name, or no longer.
            FormatError: if it has become a link since, or cannot be read.
        """
        path = self._index.where(name)
        try:
            return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")
        except FileNotFoundError:
            raise
        except OSError as error:
            raise FormatError("ERROR_UNREADABLE_FILE", f"{name}: {error.strerror}", Place(name)) from error


def _entries(folder: Path, depth: int) -> Iterator["os.DirEntry[str]"]:
    """What is in a folder and the folders below it, except for the folders themselves; links are not followed."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                yield entry
            elif depth == 0:
                raise FormatError("ERROR_UNSAFE_FILE_NAME", "too many folders within each other", Place(entry.name))
            else:
                yield from _entries(Path(entry.path), depth - 1)


def _without_packed_suffix(name: str) -> str:
    for suffix in _PACKED_SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return f"{name[:-4]}.tar" if name.lower().endswith((".tgz", ".tbz", ".txz")) else name
