"""Files, folders and archives as file trees: what is in them, and what is refused."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sightsmith_labeling.formats.file_trees import TreeLimits, open_tree
from sightsmith_labeling.formats.records import FormatError
from tests.unit.labeling.formats.mutations import mutated

FILES = {"b/ä.txt": b"zwei" * 5000, "a.txt": b"eins", "b/c/empty": b""}
LIMITS = TreeLimits(files=20, file_bytes=1_000_000, total_bytes=100_000_000, depth=3, name_characters=100)


def zip_of(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tar_of(files: dict[str, bytes], *special: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in special:
            archive.addfile(member)
    return buffer.getvalue()


def folder_of(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


PACKED = {
    "zip": zip_of(FILES),
    "stored zip": zip_of(FILES, zipfile.ZIP_STORED),
    "tar": tar_of(FILES),
    "tar.gz": gzip.compress(tar_of(FILES)),
    "tar.bz2": bz2.compress(tar_of(FILES)),
    "tar.xz": lzma.compress(tar_of(FILES)),
}


def contents(path: Path, scratch: Path, limits: TreeLimits = LIMITS, name: str = "") -> dict[str, bytes]:
    """Everything in a tree; also checks that sizes are what is read."""
    scratch.mkdir(exist_ok=True)
    with open_tree(path, limits, scratch, name) as tree:
        found = {}
        for file_name in tree.names():
            with tree.open(file_name) as file:
                found[file_name] = file.read()
            assert tree.size(file_name) == len(found[file_name])
        with pytest.raises(FileNotFoundError):
            tree.open("none")
        return found


def refusal(data: bytes, folder: Path, limits: TreeLimits = LIMITS) -> str:
    """The code under which an archive is refused, when it is opened or while it is read."""
    path = folder / "archive"
    path.write_bytes(data)
    with pytest.raises(FormatError) as refused:
        contents(path, folder / "scratch", limits)
    return refused.value.code


@pytest.mark.parametrize("kind", PACKED)
def test_archives_are_known_by_their_content(kind, tmp_path):
    path = tmp_path / "upload"
    path.write_bytes(PACKED[kind])
    found = contents(path, tmp_path / "scratch")
    assert found == FILES
    assert list(found) == sorted(FILES)


def test_folders_and_single_files(tmp_path):
    assert contents(folder_of(tmp_path / "folder", FILES), tmp_path / "scratch") == FILES
    assert contents(tmp_path / "folder/a.txt", tmp_path / "scratch", name="train.json") == {"train.json": b"eins"}
    (tmp_path / "x.json.gz").write_bytes(gzip.compress(b"{}"))
    assert contents(tmp_path / "x.json.gz", tmp_path / "scratch") == {"x.json": b"{}"}


def test_files_may_be_read_beside_each_other_and_from_any_place(tmp_path):
    for kind in ("zip", "tar"):
        path = tmp_path / kind
        path.write_bytes(PACKED[kind])
        with open_tree(path, LIMITS, tmp_path) as tree, tree.open("a.txt") as first, tree.open("b/ä.txt") as second:
            assert (first.read(2), second.read(4), first.read()) == (b"ei", b"zwei", b"ns")
            second.seek(8)
            assert second.read(4) == b"zwei"


JUNK = {"__MACOSX/a.txt": b"", "b/.DS_Store": b"", "._a.txt": b"", "Thumbs.db": b"", "desktop.ini": b""}


def test_what_systems_leave_behind_does_not_exist(tmp_path):
    for number, data in enumerate((zip_of(FILES | JUNK), tar_of(FILES | JUNK))):
        (tmp_path / str(number)).write_bytes(data)
        assert contents(tmp_path / str(number), tmp_path / "scratch") == FILES
    assert contents(folder_of(tmp_path / "folder", FILES | JUNK), tmp_path / "scratch") == FILES


def test_links_are_left_out_and_told(tmp_path):
    folder = folder_of(tmp_path / "folder", FILES)
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "linked").symlink_to("/etc")
    link, hard, device = tarfile.TarInfo("link"), tarfile.TarInfo("hard"), tarfile.TarInfo("device")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    hard.type, hard.linkname = tarfile.LNKTYPE, "a.txt"
    device.type = tarfile.CHRTYPE
    (tmp_path / "tar").write_bytes(tar_of(FILES, link, hard, device))
    zip_link = zipfile.ZipInfo("link")
    zip_link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr(zip_link, "/etc/passwd")
        archive.writestr("a.txt", "eins")
    for name, left_out in (("folder", ["link", "linked"]), ("tar", ["link", "hard", "device"]), ("zip", ["link"])):
        with open_tree(tmp_path / name, LIMITS, tmp_path) as tree:
            assert sorted(rejection.place.file for rejection in tree.skipped) == sorted(left_out)
            assert {rejection.code for rejection in tree.skipped} == {"ERROR_NOT_A_FILE"}
            assert "a.txt" in set(tree.names())
            assert not set(left_out) & set(tree.names())


def test_a_file_that_becomes_a_link_is_not_followed(tmp_path):
    folder = folder_of(tmp_path / "folder", FILES)
    with open_tree(folder, LIMITS, tmp_path) as tree:
        (folder / "a.txt").unlink()
        (folder / "a.txt").symlink_to("/etc/passwd")
        with pytest.raises(FormatError) as refused:
            tree.open("a.txt")
    assert refused.value.code == "ERROR_UNREADABLE_FILE"


@pytest.mark.parametrize(
    "name",
    [
        *("../evil", "/etc/passwd", "a/../../evil", "..\\evil", "C:\\evil", "c:/evil", "\\\\host\\share"),
        *("a/" * 4 + "x", "x" * 101),
    ],
)
def test_a_name_that_leads_out_refuses_the_archive(name, tmp_path):
    for data in (zip_of({name: b"x"}), tar_of({name: b"x"})):
        assert refusal(data, tmp_path) == "ERROR_UNSAFE_FILE_NAME"


def test_names_with_nul_and_names_that_are_no_text(tmp_path):
    hidden = zip_of({"evil_txt": b"x"}).replace(b"evil_txt", b"evil\0txt")
    assert refusal(hidden, tmp_path) == "ERROR_UNSAFE_FILE_NAME"
    (tmp_path / "tar").write_bytes(tar_of({"a_b": b"x"}).replace(b"a_b", b"a\xffb"))
    fixed = bytearray((tmp_path / "tar").read_bytes())
    fixed[148:156] = b"%06o\0 " % (sum(fixed[:148]) + sum(fixed[156:512]) + 8 * 32)
    (tmp_path / "tar").write_bytes(fixed)
    with open_tree(tmp_path / "tar", LIMITS, tmp_path) as tree:
        assert list(tree.names()) == []
        assert [rejection.code for rejection in tree.skipped] == ["ERROR_INVALID_FILE_NAME"]


def test_backslashes_are_slashes_and_dots_mean_nothing(tmp_path):
    (tmp_path / "zip").write_bytes(zip_of({"./b\\c.txt": b"x", "d//e.txt": b"y"}))
    assert contents(tmp_path / "zip", tmp_path / "scratch") == {"b/c.txt": b"x", "d/e.txt": b"y"}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_second_files_of_a_name_and_large_files_are_left_out_and_told(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in (("a", b"1"), ("A", b"2"), ("./a", b"3"), ("large", bytes(2_000_000))):
            archive.writestr(name, content)
    (tmp_path / "zip").write_bytes(buffer.getvalue())
    assert contents(tmp_path / "zip", tmp_path / "scratch") == {"A": b"2", "a": b"1"}
    with open_tree(tmp_path / "zip", LIMITS, tmp_path) as tree:
        assert [(rejection.place.file, rejection.code) for rejection in tree.skipped] == [
            ("a", "ERROR_DUPLICATE_FILE"),
            ("large", "ERROR_FILE_TOO_LARGE"),
        ]


def test_limits_on_all_files_together(tmp_path):
    many = {f"{number}.txt": b"x" for number in range(21)}
    heavy = {"a": bytes(600_000), "b": bytes(600_000)}
    limits = TreeLimits(files=20, total_bytes=1_000_000)
    for pack in (zip_of, tar_of):
        assert refusal(pack(many), tmp_path) == "ERROR_TOO_MANY_FILES"
        assert refusal(pack(heavy), tmp_path, limits) == "ERROR_ARCHIVE_TOO_LARGE"
    for compress in (gzip.compress, bz2.compress, lzma.compress):
        assert refusal(compress(tar_of(heavy)), tmp_path, limits) == "ERROR_ARCHIVE_TOO_LARGE"
    folder = folder_of(tmp_path / "many", many)
    with pytest.raises(FormatError), open_tree(folder, LIMITS, tmp_path):
        pass
    deep = folder_of(tmp_path / "deep", {"a/b/c/d/e": b""})
    with pytest.raises(FormatError), open_tree(deep, LIMITS, tmp_path):
        pass


def test_bombs_are_refused_without_being_unpacked(tmp_path):
    zeros = zip_of({"zeros": bytes(80_000_000)})
    assert refusal(zeros, tmp_path, TreeLimits()) == "ERROR_ARCHIVE_TOO_LARGE"
    bomb = gzip.compress(bytes(80_000_000))
    assert refusal(bomb, tmp_path, TreeLimits()) == "ERROR_ARCHIVE_TOO_LARGE"


def test_overlapping_entries_are_refused(tmp_path):
    data = bytearray(zip_of({"a": b"x" * 100, "b": b"y" * 100}, zipfile.ZIP_STORED))
    second = data.find(b"PK\x01\x02", data.find(b"PK\x01\x02") + 1)
    data[second + 42 : second + 46] = struct.pack("<L", 10)  # The second file begins inside the first.
    assert refusal(bytes(data), tmp_path) == "ERROR_UNREADABLE_ARCHIVE"


def test_no_more_is_unpacked_than_headers_claim(tmp_path):
    data = bytearray(zip_of({"a": b"x" * 1000}))
    at = data.find(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<L", 10)
    assert refusal(bytes(data), tmp_path) == "ERROR_UNREADABLE_ARCHIVE"


def test_encrypted_and_unusual_archives_are_refused(tmp_path):
    data = bytearray(zip_of({"a": b"x"}))
    data[data.find(b"PK\x01\x02") + 8] |= 1
    assert refusal(bytes(data), tmp_path) == "ERROR_ENCRYPTED_ARCHIVE"
    assert refusal(zip_of({"a": b"x"}, zipfile.ZIP_BZIP2), tmp_path) == "ERROR_UNREADABLE_ARCHIVE"
    assert refusal(zip_of({"a": b"x"}, zipfile.ZIP_LZMA), tmp_path) == "ERROR_UNREADABLE_ARCHIVE"


def test_zip64_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive, archive.open("a", "w", force_zip64=True) as file:
        file.write(b"x")
    assert contents(tmp_path / "zip", tmp_path / "scratch") == {"a": b"x"}


@pytest.mark.parametrize("kind", PACKED)
def test_archives_that_are_cut_off_are_refused(kind, tmp_path):
    data = PACKED[kind]
    for share in (0.3, 0.6, 0.9):
        cut = data[: int(len(data) * share)]
        if kind == "tar" and share == 0.9:
            continue  # Only padding is missing.
        assert refusal(cut, tmp_path) == "ERROR_UNREADABLE_ARCHIVE"


def test_damage_in_the_middle_of_a_tar_is_not_its_end(tmp_path):
    data = bytearray(tar_of({"a": b"x" * 2000, "b": b"y"}))
    data[2560 + 10] ^= 0xFF  # In the header of the second file: 512 bytes of the first, and four blocks.
    assert refusal(bytes(data), tmp_path) == "ERROR_UNREADABLE_ARCHIVE"


def test_a_header_that_claims_gigabytes_is_not_read(tmp_path):
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 3 * 1024**3
    path = tmp_path / "tar"
    with path.open("wb") as file:
        file.write(header.tobuf(tarfile.USTAR_FORMAT))
        file.truncate(3 * 1024**3 + 4096)
    tracemalloc.start()
    with pytest.raises(FormatError) as refused:
        contents(path, tmp_path / "scratch")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refused.value.code == "ERROR_UNREADABLE_ARCHIVE"
    assert peak < 5_000_000


@given(data=st.data(), kind=st.sampled_from(sorted(PACKED)))
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_broken_archives_are_refused_or_read_and_nothing_worse(data, kind, tmp_path):
    path = tmp_path / "broken"
    path.write_bytes(data.draw(mutated(PACKED[kind])))
    (tmp_path / "scratch").mkdir(exist_ok=True)
    with suppress(FormatError), open_tree(path, LIMITS, tmp_path / "scratch") as tree:
        for name in tree.names():
            assert ".." not in name.split("/")
            assert not name.startswith("/")
            with tree.open(name) as file:
                assert len(file.read()) <= tree.size(name)
    assert {entry.name for entry in tmp_path.iterdir()} == {"broken", "scratch"}
    assert {entry.name for entry in (tmp_path / "scratch").iterdir()} <= {"unpacked"}
