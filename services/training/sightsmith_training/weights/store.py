"""The folder in which fetched weights are kept.

Files that belong together lie in a folder of their own, with a `SHA256SUMS` as `sha256sum` writes it. The folder is
named by that list's SHA-256: what is in it never changes, and two processes that bring the same files bring the same
folder. It is filled beside and renamed, so a folder with such a name is whole. Its files are verified whenever they are
asked for, because disks and people alter files.
"""

import hashlib
import logging
import re
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sightsmith_training.engine.catalogue import WeightsFile

SUMS_FILE = "SHA256SUMS"

_SET_NAME = re.compile("[0-9a-f]{64}")
_SCRATCH_PREFIX = ".unfinished-"
_SCRATCH_SECONDS = 24 * 3600  # Longer than any fetch: what is older was left by a process that was killed.
_log = logging.getLogger(__name__)


class WeightsStore:
    """Sets of files, each in a folder named by its content."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, wanted: Collection[WeightsFile]) -> Path | None:
        """The folder that holds these files, just verified; None if there is none, or only a damaged one."""
        return next((found for found in self.sets() if _holds(found, wanted) and is_intact(found)), None)

    def sets(self) -> list[Path]:
        """All folders of files, newest first, not verified."""
        if not self.folder.is_dir():
            return []
        found = [folder for folder in self.folder.iterdir() if _SET_NAME.fullmatch(folder.name)]
        return sorted(found, key=lambda folder: (-_changed(folder), folder.name))

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder to make files in, on the store's own file system; gone afterwards."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._sweep()
        with TemporaryDirectory(prefix=_SCRATCH_PREFIX, dir=self.folder, ignore_cleanup_errors=True) as folder:
            yield Path(folder)

    def add(self, made: Path) -> Path:
        """Takes a folder of files in.

        Args:
            made: holds just the files, inside a scratch folder; it is moved.

        Returns:
            The folder that holds them now.
        """
        text = "".join(f"{digest_of(file)}  {file.name}\n" for file in sorted(made.iterdir()))
        (made / SUMS_FILE).write_text(text, encoding="utf-8")
        target = self.folder / hashlib.sha256(text.encode()).hexdigest()
        if target.exists() and not is_intact(target):
            _move_aside(target, made.with_name("damaged"))
        try:
            made.rename(target)
        except OSError:
            # Somebody else brought the same files meanwhile.
            if not is_intact(target):
                raise
        return target

    def _sweep(self) -> None:
        oldest = time.time() - _SCRATCH_SECONDS
        for folder in self.folder.glob(f"{_SCRATCH_PREFIX}*"):
            if 0 < _changed(folder) < oldest:
                shutil.rmtree(folder, ignore_errors=True)


def digest_of(file: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def is_intact(folder: Path) -> bool:
    """Whether every file of a folder is there and has the SHA-256 that was recorded."""
    sums = read_sums(folder)
    wrong = [name for name, sha256 in sums.items() if not _has_digest(folder / name, sha256)]
    if wrong:
        _log.warning("%s is damaged: %s", folder, ", ".join(wrong))
    return bool(sums) and not wrong


def read_sums(folder: Path) -> Mapping[str, str]:
    """The recorded SHA-256 of each file of a folder; nothing if there is no readable list."""
    try:
        lines = (folder / SUMS_FILE).read_text(encoding="utf-8").splitlines()
        return {name: sha256 for sha256, name in (line.split("  ", 1) for line in lines)}
    except (OSError, ValueError):
        return {}


def _holds(folder: Path, wanted: Collection[WeightsFile]) -> bool:
    sums = read_sums(folder)
    return all(sums.get(file.name) == file.sha256 for file in wanted)


def _changed(folder: Path) -> float:
    """When a folder last changed, in seconds since the epoch; 0 if somebody else has just moved it."""
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:
        return 0


def _has_digest(file: Path, sha256: str) -> bool:
    try:
        return digest_of(file) == sha256
    except OSError:
        return False


def _move_aside(folder: Path, place: Path) -> None:
    try:
        folder.rename(place)
    except FileNotFoundError:
        _log.info("%s was mended meanwhile", folder)
