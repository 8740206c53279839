"""Where the verified weights of a starting point lie."""

import logging
from importlib.resources import files
from pathlib import Path

from sightsmith_training.engine.catalogue import Backbone, PythonPackage, StartingPoint
from sightsmith_training.weights.errors import WeightsError
from sightsmith_training.weights.settings import WeightsSettings
from sightsmith_training.weights.store import WeightsStore, digest_of

_log = logging.getLogger(__name__)


def weights_files(entry: StartingPoint, store: WeightsStore) -> list[Path]:
    """The files of a starting point in the order of the catalogue, side by side in one folder and just verified.

    Args:
        entry: what is wanted.
        store: holds what has been fetched.

    Raises:
        WeightsError: if they are missing or are not the ones in the catalogue; it says how to get them.
    """
    if isinstance(entry.source, PythonPackage):
        return _installed(entry, entry.source)
    folder = store.find(entry.files)
    if folder is None:
        raise WeightsError(
            f"the weights of {entry.name} are not in {store.folder}: run 'sightsmith models fetch {entry.name}'"
        )
    return [folder / file.name for file in entry.files]


def fetched_extras(settings: WeightsSettings) -> list[Backbone]:
    """The backbones beside those of the catalogue that the settings name, as far as they were fetched, just verified.

    One that is missing must not keep trainings from what they can do without it; the log tells of it.
    """
    store = WeightsStore(settings.weights_dir)
    fetched = []
    for extra in settings.extras:
        try:
            backbone = extra.get(store)
            weights_files(backbone, store)
        except WeightsError as error:
            _log.warning("trained without %s: %s", extra.wish, error)
        else:
            fetched.append(backbone)
    return fetched


def _installed(entry: StartingPoint, package: PythonPackage) -> list[Path]:
    try:
        paths = [Path(str(files(package.name).joinpath(file.path))) for file in entry.files]
        digests = [digest_of(path) for path in paths]
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise WeightsError(
            f"the weights of {entry.name} are missing: install the Python package {package.name}"
        ) from error
    for file, digest in zip(entry.files, digests, strict=True):
        if digest != file.sha256:
            raise WeightsError(
                f"{package.name}/{file.path} is not the file in the catalogue: its SHA-256 differs. "
                f"Install the Python package {package.name} again"
            )
    return paths
