import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightsmith.demo.qt_resources import QtResources, ResourceError, UnsupportedCompressionError

from .rcc_writer import write_rcc

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\\:\0"), min_size=1, max_size=20).filter(
    lambda name: name not in {".", ".."}
)
FILES = st.dictionaries(NAMES.map(lambda name: f"folder/{name}"), st.binary(max_size=200), max_size=8)


def unpacked(data: bytes, max_file_bytes: int = 1_000_000) -> dict[str, bytes]:
    resources = QtResources(data, max_file_bytes)
    return {entry.path: resources.read(entry) for entry in resources.entries()}


@given(FILES, st.sampled_from([1, 2, 3]), st.data())
def test_reads_what_was_written(files: dict[str, bytes], version: int, data: st.DataObject) -> None:
    deflated = data.draw(st.sets(st.sampled_from(sorted(files)))) if files else set()
    assert unpacked(write_rcc(files, version, deflated)) == files


def test_walks_nested_folders() -> None:
    files = {"a/b/c.png": b"1", "a/d.png": b"2", "e.png": b"3"}
    assert unpacked(write_rcc(files)) == files


@given(st.binary(max_size=300))
def test_hostile_bytes_give_a_resource_error_or_nothing_bad(tail: bytes) -> None:
    for data in (tail, b"qres" + tail, struct.pack(">4sIIII", b"qres", 3, 20, 20, 20) + tail):
        read_safely(data)


@given(st.data())
def test_damaged_files_give_a_resource_error_or_nothing_bad(data: st.DataObject) -> None:
    whole = bytearray(write_rcc({"a/b.png": b"x" * 50, "a/c.png": b"y" * 50, "d": b"z"}, deflated=["a/b.png"]))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    read_safely(bytes(whole[: data.draw(st.integers(0, len(whole)))]))


def read_safely(data: bytes) -> None:
    try:
        files = unpacked(data, max_file_bytes=1000)
    except ResourceError:
        return
    for path, content in files.items():
        assert len(content) <= 1000
        assert os.path.normpath(f"/target/{path}").startswith("/target/")


@pytest.mark.parametrize("name", ["..", ".", "", "a\\b", "c:", "nul\0", "é" * 200])
def test_a_name_that_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(ResourceError, match="no plain file name"):
        unpacked(write_rcc({name: b""}))


def test_a_name_with_a_slash_is_refused() -> None:
    data = write_rcc({"..x..": b""}).replace("..x..".encode("utf-16-be"), "../..".encode("utf-16-be"))
    with pytest.raises(ResourceError, match="no plain file name"):
        unpacked(data)


def test_zstandard_is_named_as_unsupported() -> None:
    with pytest.raises(UnsupportedCompressionError, match=r"a\.png: packed with Zstandard"):
        unpacked(write_rcc({"a.png": b"1"}, zstd=["a.png"]))


@pytest.mark.parametrize("deflated", [[], ["big"]])
def test_a_file_over_the_limit_is_refused(deflated: list[str]) -> None:
    with pytest.raises(ResourceError, match="more than the 100 allowed"):
        unpacked(write_rcc({"big": bytes(101)}, deflated=deflated), max_file_bytes=100)


def test_a_file_that_unpacks_to_more_than_it_claims_is_refused() -> None:
    data = write_rcc({"bomb": bytes(5000)}, deflated=["bomb"])
    claim = struct.pack(">I", 5000)
    with pytest.raises(ResourceError, match="not of the size it claims"):
        unpacked(data.replace(claim, struct.pack(">I", 10)))


def test_a_tree_that_loops_is_refused() -> None:
    data = bytearray(write_rcc({"a/b": b""}))
    child_of_a = 24 + 22 + 10  # header, root node, name and flags and count of `a`
    data[child_of_a : child_of_a + 4] = struct.pack(">I", 0)
    with pytest.raises(ResourceError, match="loops"):
        unpacked(bytes(data))


def test_a_folder_that_claims_too_many_children_is_refused() -> None:
    data = bytearray(write_rcc({"a": b""}))
    data[30:34] = struct.pack(">I", 2**32 - 1)
    with pytest.raises(ResourceError, match="more than 100000 entries"):
        unpacked(bytes(data))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "does not start with 'qres'"),
        (b"PK\x03\x04", "does not start with 'qres'"),
        (b"qres", "header"),
        (write_rcc({}, version=4), "format 4 is not supported"),
    ],
)
def test_other_files_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(ResourceError, match=message):
        QtResources(data)
