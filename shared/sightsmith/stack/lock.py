"""One stack per data folder."""

import fcntl
import os
from pathlib import Path

from sightsmith.stack.errors import StackError
from sightsmith.stack.files import PRIVATE_FILE


class FolderLock:
    """Held by the process that runs a stack; the kernel frees it when that process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Takes the lock.

        Raises:
            StackError: if another stack holds it; names that process.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode().strip() or "unknown"
            os.close(descriptor)
            raise StackError(
                f"a stack already runs in {self._path.parent} (process {holder}): "
                "stop it first, or set SIGHTSMITH_DATA_DIR to another folder"
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def release(self) -> None:
        """Frees the lock. The file stays: removing it would let two holders in."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
