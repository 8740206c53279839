"""Everything below a place of an object store, as the files of an import."""

import io
import re
from typing import BinaryIO

import obstore
from obstore.exceptions import PermissionDeniedError, UnauthenticatedError
from obstore.store import ObjectStore

from sightsmith_labeling.formats.records import FormatError, Place
from sightsmith_labeling.formats.tree_index import IndexedTree, TreeIndex, TreeLimits

# How a store says that it would give the thing to somebody else.
NO_PERMISSION = (PermissionDeniedError, UnauthenticatedError, PermissionError)
# Where a listing is refused, only the text of the error tells why.
_REFUSED = re.compile(r"status code: 40[13]\b")
_BUFFER = 1024 * 1024


class ObjectTree(IndexedTree[str]):
    """The objects below a prefix. They are listed once and read as they are opened.

    Raises:
        FormatError: if they cannot be listed, or pass a limit.
    """

    def __init__(self, store: ObjectStore, prefix: str, limits: TreeLimits, name: str) -> None:
        index = TreeIndex[str](name, limits, limits.total_bytes)
        self._store = store
        try:
            for page in obstore.list(store, prefix or None):
                for item in page:
                    index.add(item["path"][len(prefix) :], item["size"], item["path"])
        except (obstore.exceptions.BaseError, OSError) as error:
            raise unreadable(name, error) from error
        index.sort()
        super().__init__(index)

    def open(self, name: str) -> BinaryIO:
        """Opens an object.

        Raises:
            FileNotFoundError: if there is none of that name, or no longer.
            FormatError: if it cannot be read; also while reading.
        """
        key = self._index.where(name)
        try:
            return io.BufferedReader(_Object(obstore.open_reader(self._store, key), name), _BUFFER)
        except FileNotFoundError:
            raise
        except (obstore.exceptions.BaseError, OSError) as error:
            raise unreadable(name, error) from error


class _Object(io.RawIOBase):
    """An object of a store, as Python reads files."""

    def __init__(self, reader: "obstore.ReadableFile", name: str) -> None:
        self._reader = reader
        self._name = name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # A buffer is always a memoryview here.
        try:
            data = bytes(self._reader.read(len(buffer)))
        except (obstore.exceptions.BaseError, OSError) as error:
            raise unreadable(self._name, error) from error
        buffer[: len(data)] = data
        return len(data)


def access_code(error: Exception) -> str:
    """The code of Custom Labels for files that cannot be read."""
    if isinstance(error, NO_PERMISSION) or _REFUSED.search(str(error)):
        return "ERROR_INVALID_PERMISSIONS_MANIFEST_S3_BUCKET"
    return "ERROR_MANIFEST_INACCESSIBLE_OR_UNSUPPORTED_FORMAT"


def unreadable(name: str, error: Exception) -> FormatError:
    """What is said of a file or folder that cannot be read."""
    return FormatError(access_code(error), f"{name} cannot be read: {error}", Place(name))
