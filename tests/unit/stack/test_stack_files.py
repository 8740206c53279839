"""Tokens, folders and the lock."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from sightsmith.stack import StackError
from sightsmith.stack.data_folder import DataFolder
from sightsmith.stack.files import read_or_create_token, write_private
from sightsmith.stack.lock import FolderLock


def test_a_token_is_private_and_made_once(tmp_path: Path) -> None:
    file = tmp_path / "token"
    token = read_or_create_token(file)
    assert len(token) >= 43
    assert read_or_create_token(file) == token
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_an_empty_token_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").touch()
    with pytest.raises(ValueError, match="is empty"):
        read_or_create_token(tmp_path / "token")


def test_a_private_file_replaces_an_open_one(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("old")
    file.chmod(0o644)
    write_private(file, "new")
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("new", 0o600)


def test_sockets_move_where_the_path_would_be_too_long(tmp_path: Path) -> None:
    far = DataFolder(tmp_path / ("d" * 100))
    assert not far.run.is_relative_to(far.path)
    assert len(os.fsencode(far.supervisor_socket)) < 100
    near = DataFolder(Path("/d"))
    assert near.run == Path("/d/run")


def test_the_folders_are_private(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.create()
    folder.create()
    for path in (folder.path, folder.run, folder.logs, folder.objects, folder.work, folder.triton_models):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700, path
    shutil.rmtree(folder.run)


def test_the_lock_names_its_holder(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path / "lock"), FolderLock(tmp_path / "lock")
    first.acquire()
    with pytest.raises(StackError, match=f"process {os.getpid()}"):
        second.acquire()
    first.release()
    second.acquire()
    assert second.is_held
    second.release()
