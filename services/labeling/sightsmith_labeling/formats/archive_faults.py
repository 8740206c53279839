"""What goes wrong with archives, told the way imports tell it."""

import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from sightsmith_labeling.formats.records import FormatError, Place

# What the standard library is known to raise on broken archives.
_FAULTS = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    NotImplementedError,
    RecursionError,
    RuntimeError,
)


def refused(code: str, name: str, message: str) -> FormatError:
    """The error about an archive of that name."""
    return FormatError(code, f"{name}: {message}", Place(name))


@contextmanager
def telling(name: str) -> Iterator[None]:
    """Tells faults of an archive as a `FormatError` about the file of that name."""
    try:
        yield
    except FileNotFoundError:
        raise
    except _FAULTS as error:
        raise refused("ERROR_UNREADABLE_ARCHIVE", name, f"it cannot be unpacked: {error}") from error
