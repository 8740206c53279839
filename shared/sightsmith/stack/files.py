"""Small files that must be whole and, where they hold secrets, private."""

import os
import secrets
from pathlib import Path

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
# Others may pass through to what they own inside, and see nothing.
PASSABLE_FOLDER = 0o711


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner can read; a reader sees the old text or the new, never a part."""
    _write_beside(path, text).replace(path)


def read_or_create_token(path: Path) -> str:
    """The secret kept in `path`; at the first call a new one of 256 random bits, in a file of mode 0600.

    Raises:
        ValueError: if the file is there and empty.
    """
    if not path.exists():
        _create_token(path)
    token = path.read_text().strip()
    if not token:
        raise ValueError(f"{path} is empty: delete it, and the next start makes a new token")
    return token


def _create_token(path: Path) -> None:
    draft = _write_beside(path, secrets.token_urlsafe(32) + "\n")
    try:
        # Unlike a rename, a link does not overwrite the token of a process that was quicker.
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _write_beside(path: Path, text: str) -> Path:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return draft
