"""The folder of fetched weights."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightsmith_training.engine.catalogue import WeightsFile
from sightsmith_training.weights.store import SUMS_FILE, WeightsStore, digest_of, is_intact

names = st.text("abcdefghij.-_ ", min_size=1, max_size=12).filter(lambda name: name not in (".", ".."))
contents = st.dictionaries(names, st.binary(max_size=60), min_size=1, max_size=4)


def bring(store: WeightsStore, files: dict[str, bytes]) -> Path:
    with store.scratch() as scratch:
        made = scratch / "made"
        made.mkdir()
        for name, data in files.items():
            (made / name).write_bytes(data)
        return store.add(made)


def wanted(folder: Path) -> list[WeightsFile]:
    return [WeightsFile(file.name, digest_of(file)) for file in folder.iterdir() if file.name != SUMS_FILE]


@pytest.fixture
def store(tmp_path: Path) -> WeightsStore:
    return WeightsStore(tmp_path / "weights")


@settings(max_examples=30, deadline=None)
@given(files=contents)
def test_what_is_brought_is_found_and_bringing_it_again_changes_nothing(files: dict[str, bytes]) -> None:
    with TemporaryDirectory() as folder:
        store = WeightsStore(Path(folder, "weights"))
        home = bring(store, files)
        assert {file.name: file.read_bytes() for file in home.iterdir() if file.name != SUMS_FILE} == files
        assert store.find(wanted(home)) == bring(store, files) == home
        assert [entry.name for entry in store.folder.iterdir()] == [home.name]


@pytest.mark.parametrize("damage", ["alter", "shorten", "remove", "remove the list"])
def test_damaged_files_are_not_found_and_are_mended_by_bringing_them_again(store: WeightsStore, damage: str) -> None:
    home = bring(store, {"a": b"aaaa", "b": b"bbbb"})
    files = wanted(home)
    match damage:
        case "alter":
            (home / "a").write_bytes(b"aaab")
        case "shorten":
            (home / "a").write_bytes(b"aaa")
        case "remove":
            (home / "b").unlink()
        case _:
            (home / SUMS_FILE).unlink()
    assert store.find(files) is None
    assert bring(store, {"a": b"aaaa", "b": b"bbbb"}) == home
    assert store.find(files) == home


def test_other_contents_are_not_found(store: WeightsStore) -> None:
    assert store.find([WeightsFile("a", "0" * 64)]) is None
    home = bring(store, {"a": b"a"})
    digest = digest_of(home / "a")
    assert store.find([WeightsFile("folder/a", digest)]) == home
    assert store.find([WeightsFile("a", digest[:8])]) is None
    assert store.find([WeightsFile("a", "0" * 64)]) is None
    assert store.find([WeightsFile("a", digest), WeightsFile("b", digest)]) is None


def test_many_that_bring_the_same_at_once_do_no_harm(store: WeightsStore) -> None:
    files = {"a": os.urandom(200_000), "b": b"b"}
    with ThreadPoolExecutor(8) as pool:
        homes = set(pool.map(lambda _: bring(store, files), range(24)))
    assert len(homes) == 1
    assert is_intact(homes.pop())
    assert len(list(store.folder.iterdir())) == 1


def test_what_a_killed_process_left_is_swept_up_after_a_day(store: WeightsStore) -> None:
    old, new = store.folder / ".unfinished-old", store.folder / ".unfinished-new"
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / "half").write_bytes(b"half")
    long_ago = time.time() - 2 * 24 * 3600
    os.utime(old, (long_ago, long_ago))
    home = bring(store, {"a": b"a"})
    assert sorted(store.folder.iterdir()) == sorted([new, home])
    assert store.sets() == [home]


def test_the_list_is_one_that_sha256sum_reads(store: WeightsStore) -> None:
    home = bring(store, {"b": b"b", "a": b"a"})
    lines = (home / SUMS_FILE).read_text().splitlines()
    assert lines == [f"{digest_of(home / name)}  {name}" for name in ("a", "b")]
