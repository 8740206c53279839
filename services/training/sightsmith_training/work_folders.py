"""Folders that belong to a living worker, and what workers that died leave of them."""

import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

from sightsmith.folder_locks import locked
from sightsmith_training.leases import JobLease

# Of a job's id and of the token of its lease, which keeps it apart from that of a worker that was taken for dead.
_OF_JOB = re.compile(r"[a-z]-[0-9a-f]+-([0-9a-f]{32})")
_OF_PROCESS = re.compile(r"\.[a-z]+-[0-9a-f]{32}")
_DRAFT = ".draft-"
# It takes microseconds to lock a draft; one that is so old and still a draft has lost its worker at that moment.
_DRAFT_SECONDS = 3600.0


@contextmanager
def work_folder(root: Path, lease: JobLease) -> Iterator[Path]:
    """An empty folder for a job, removed afterwards.

    Raises:
        OSError: if it cannot be made.
    """
    with _own_folder(root, f"{lease.id}-{lease.token.hex}") as folder:
        yield folder


@contextmanager
def process_folder(root: Path, purpose: str) -> Iterator[Path]:
    """An empty folder for something of the worker that may outlive a job, removed afterwards.

    Args:
        root: where it is made.
        purpose: what it is for, in lower-case letters.

    Raises:
        OSError: if it cannot be made.
    """
    with _own_folder(root, f".{purpose}-{uuid.uuid4().hex}") as folder:
        yield folder


@contextmanager
def _own_folder(root: Path, name: str) -> Iterator[Path]:
    root.mkdir(parents=True, exist_ok=True)
    # Locked before it has its name: under that, whoever finds it unlocked takes its worker for dead.
    draft = Path(mkdtemp(prefix=_DRAFT, dir=root))
    with locked(draft):
        folder = draft.rename(root / name)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def clear_abandoned(root: Path) -> list[uuid.UUID]:
    """Removes the folders of workers that died on this machine, and tells the tokens of the leases that they held."""
    tokens = []
    for folder in root.glob("*"):
        of_job = _OF_JOB.fullmatch(folder.name)
        if of_job is None and not _OF_PROCESS.fullmatch(folder.name) and not _is_old_draft(folder):
            continue
        # Another worker that looks at the same time may be quicker.
        with suppress(FileNotFoundError), locked(folder) as is_abandoned:
            if is_abandoned:
                tokens += [uuid.UUID(of_job[1])] if of_job else []
                shutil.rmtree(folder, ignore_errors=True)
    return tokens


def _is_old_draft(folder: Path) -> bool:
    if not folder.name.startswith(_DRAFT):
        return False
    with suppress(FileNotFoundError):
        return time.time() - folder.stat().st_mtime > _DRAFT_SECONDS
    return False
