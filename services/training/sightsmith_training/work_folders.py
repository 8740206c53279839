"""The folders of jobs in hand, and what workers that died leave of them."""

import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

from sightsmith.folder_locks import locked
from sightsmith_training.leases import JobLease

# Of a job's id and of the token of its lease, which keeps it apart from that of a worker that was taken for dead.
_NAME = re.compile(r"[a-z]-[0-9a-f]+-([0-9a-f]{32})")


@contextmanager
def work_folder(root: Path, lease: JobLease) -> Iterator[Path]:
    """An empty folder for a job, removed afterwards.

    Raises:
        OSError: if it cannot be made.
    """
    root.mkdir(parents=True, exist_ok=True)
    # Locked before it has its name: under that, whoever finds it unlocked takes its worker for dead.
    draft = Path(mkdtemp(prefix=".job-", dir=root))
    with locked(draft):
        folder = draft.rename(root / f"{lease.id}-{lease.token.hex}")
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def clear_abandoned(root: Path) -> list[uuid.UUID]:
    """Removes the folders of workers that died on this machine, and tells the tokens of the leases that they held."""
    tokens = []
    for folder in root.glob("*"):
        if (name := _NAME.fullmatch(folder.name)) is None:
            continue
        # Another worker that starts at the same time may be quicker.
        with suppress(FileNotFoundError), locked(folder) as is_abandoned:
            if is_abandoned:
                tokens.append(uuid.UUID(name[1]))
                shutil.rmtree(folder, ignore_errors=True)
    return tokens
