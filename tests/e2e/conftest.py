"""The whole stack with every process, started once for all end-to-end tests."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sightsmith.client import Client
from sightsmith.stack.settings import StackSettings
from sightsmith.stack.stack import Stack
from tests.photo_set import write_photo_set

SIGHTSMITH = str(Path(sys.executable).with_name("sightsmith"))


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    # Not a folder of pytest's own: PostgreSQL's system user could not reach it.
    folder = Path(tempfile.mkdtemp(prefix="sightsmith-e2e-"))
    try:
        # Weights that tests fetch are no business of the user's who runs them.
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SIGHTSMITH_WEIGHTS_DIR", str(folder / "weights"))
            with Stack(StackSettings(data_dir=folder, free_ports=True, start_timeout_seconds=180)) as running:
                yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def client(stack: Stack) -> Iterator[Client]:
    with Client.connect(stack.endpoints.data_dir) as connected:
        yield connected


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photo_set(tmp_path_factory.mktemp("photos"))


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    output: str
    errors: str

    @property
    def json(self) -> Any:
        return json.loads(self.output)


Command = Callable[..., Finished]


@pytest.fixture(scope="session")
def sightsmith(stack: Stack) -> Command:
    """Runs the command line against the stack, as a user would in a shell."""

    def run(*arguments: str | Path, **environment: str) -> Finished:
        done = subprocess.run(
            [SIGHTSMITH, *map(str, arguments)],
            env={**os.environ, "SIGHTSMITH_DATA_DIR": str(stack.endpoints.data_dir), "COLUMNS": "200", **environment},
            capture_output=True,
            text=True,
            timeout=300,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    return run


@dataclass(frozen=True)
class Shop:
    """A project in which the main job has been done."""

    project: str
    model: str
    photos: Path


@pytest.fixture(scope="session")
def shop(sightsmith: Command, photos: Path) -> Shop:
    """Import, train and deploy with the command line: what the other tests go on from."""
    for step in (("import", "shop", photos), ("train", "shop", "--effort", "fast"), ("deploy", "shop")):
        done = sightsmith(*step, "--json")
        assert done.code == 0, done.errors
    return Shop("shop", str(done.json["serving_model"]), photos)
