"""Downloading and unpacking one Debian package without root and without touching the system."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

COMMAND_SECONDS = 600

Progress = Callable[[str], None]

# Everything that apt writes goes into a private folder. The hooks that a system runs after an update (and that would
# write outside that folder) are cleared. The sandbox user, which only root can change to, could not reach that folder.
_APT_CONFIGURATION = """\
Dir::Cache "{private}/cache";
Dir::Log "{private}/log";
APT::Sandbox::User "root";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
Acquire::Languages "none";
"""
_PRIVATE_LISTS = """\
Dir::State::Lists "{private}/lists";
"""


class DebianPackageError(RuntimeError):
    """A package could not be downloaded or unpacked; the message says why."""


@dataclass(frozen=True)
class DebianPackage:
    """A downloaded package file."""

    name: str
    version: str
    file: Path


def download_package(name: str, folder: Path, progress: Progress) -> DebianPackage:
    """Downloads the newest version of `name` that this machine's package sources offer into `folder`.

    First the system's own package lists are tried; where they are empty or old, fresh ones are fetched into `folder`.

    Raises:
        DebianPackageError: apt-get is missing, or could not fetch the package.
    """
    _need("apt-get")
    for part in ("cache/archives/partial", "lists/partial", "lists/auxfiles", "log", "package"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    system_lists = _configuration(folder, "system-lists.conf", _APT_CONFIGURATION)
    try:
        _apt(system_lists, folder, "download", name)
    except DebianPackageError:
        progress("The system's package lists are empty or old: fetching fresh ones into a private folder")
        _download_by_fresh_lists(name, folder)
    return _downloaded(name, folder / "package")


def _download_by_fresh_lists(name: str, folder: Path) -> None:
    configuration = _configuration(folder, "private-lists.conf", _APT_CONFIGURATION + _PRIVATE_LISTS)
    failed_update: DebianPackageError | None = None
    try:
        _apt(configuration, folder, "update")
    except DebianPackageError as error:
        failed_update = error  # One dead source among several does no harm if another has the package.
    try:
        _apt(configuration, folder, "download", name)
    except DebianPackageError as error:
        raise failed_update or error from error


def unpack_package(package: DebianPackage, folder: Path) -> None:
    """Unpacks the files of a package below `folder`; none of its scripts are run.

    Raises:
        DebianPackageError: dpkg-deb is missing, or the package is damaged.
    """
    _need("dpkg-deb")
    _run(["dpkg-deb", "--extract", str(package.file), str(folder)], package.file.parent)


def _configuration(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text.format(private=folder.absolute()), encoding="utf-8")
    return path


def _apt(configuration: Path, folder: Path, *arguments: str) -> None:
    _run(["apt-get", "--quiet=2", f"--config-file={configuration}", *arguments], folder / "package")


def _downloaded(name: str, folder: Path) -> DebianPackage:
    """Reads the version out of the file's name, `NAME_VERSION_ARCHITECTURE.deb`, where apt writes `:` as `%3a`."""
    for file in folder.glob(f"{name}_*.deb"):
        _, version, _ = file.name.split("_")
        return DebianPackage(name, unquote(version).replace(":", "-"), file)
    raise DebianPackageError(f"apt-get said that it downloaded {name}, but left no file")


def _need(program: str) -> None:
    if shutil.which(program) is None:
        raise DebianPackageError(f"{program} is not on this machine (it comes with Debian, Ubuntu and their like)")


def _run(command: list[str], folder: Path) -> None:
    try:
        subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMMAND_SECONDS,
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        raise DebianPackageError(f"{command[0]} took longer than {COMMAND_SECONDS} s") from error
    except subprocess.CalledProcessError as error:
        raise DebianPackageError(f"{command[0]} failed: {_complaint(error.stderr)}") from error


def _complaint(output: str) -> str:
    """The last error line of a program's output, without the passwords that package sources may carry."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("E:")] or lines or ["it said nothing"]
    return re.sub(r"//[^/@\s]+@", "//", errors[-1])
