"""Single files out of archives of strangers."""

import shutil
import tarfile
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from sightsmith_training.weights.errors import WeightsError

_MAX_UNPACKED_BYTES = 8 * 1024**3
"""What an archive may hold in all: a small file can unpack to a great many zeros."""


def take_files(archive: Path, wanted: Collection[str], into: Path) -> None:
    """Takes files out of a tar archive, reading it once from its beginning and no further than needed.

    Nothing of the archive decides where a file is written: each goes into the folder under the last part of the path
    by which it was asked for. Only ordinary files are taken, no links.

    Args:
        archive: a tar file, compressed or not.
        wanted: paths inside the archive; their last parts differ.
        into: an existing folder.

    Raises:
        WeightsError: if the archive is cut short, damaged, too large, or lacks a file.
    """
    missing = set(wanted)
    try:
        with tarfile.open(archive, "r|*") as members:
            for member in members:
                if member.offset_data + member.size > _MAX_UNPACKED_BYTES:
                    raise WeightsError(f"{archive} unpacks to more than {_MAX_UNPACKED_BYTES} bytes")
                if member.isreg() and member.name in missing:
                    _copy(members, member, into / PurePosixPath(member.name).name)
                    missing.remove(member.name)
                if not missing:
                    return
    # A TypeError where gzip's header is cut short: CPython 3.11 takes the code of a character that is not there.
    except (tarfile.TarError, EOFError, zlib.error, TypeError) as error:
        raise WeightsError(f"{archive} is cut short or damaged: {error}") from error
    raise WeightsError(f"{archive} lacks {', '.join(sorted(missing))}")


def _copy(members: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    source = members.extractfile(member)
    assert source is not None  # noqa: S101 - it is an ordinary file
    with source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy)
    if target.stat().st_size != member.size:
        raise tarfile.ReadError("unexpected end of data")
