"""`sightsmith up` in the foreground, as `make run` runs it."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sightsmith.client import Client
from tests.e2e.conftest import SIGHTSMITH


@pytest.fixture
def data_dir() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="sightsmith-up-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def start(data_dir: Path) -> tuple["subprocess.Popen[str]", dict[str, str]]:
    """Starts a stack; returns when it is ready, with where everything listens."""
    process = subprocess.Popen(
        [SIGHTSMITH, "--data-dir", data_dir, "up", "--free-ports", "--json"],
        env={**os.environ, "SIGHTSMITH_START_TIMEOUT_SECONDS": "180"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if line == "}\n":
            break
    return process, json.loads(text)


def test_it_says_so_when_its_processes_end_by_themselves(data_dir: Path) -> None:
    process, _ = start(data_dir)
    supervisor = int(subprocess.check_output(["pgrep", "-P", str(process.pid), "-f", "supervisord"]).split()[0])
    os.kill(supervisor, signal.SIGKILL)
    assert process.wait(60) == 1


def test_it_says_where_everything_listens_and_stops_in_order(data_dir: Path) -> None:
    process, endpoints = start(data_dir)
    token = data_dir / "admin-token"
    assert token.stat().st_mode & 0o777 == 0o600
    assert all(endpoints[name].startswith("127.0.0.1:") for name in ("labeling", "training", "inference"))
    with Client.connect(data_dir) as client:
        client.ensure_project("kept")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert not (data_dir / "stack.json").exists()

    # The data folder and the token survive; a service manager's stop is as orderly as Ctrl-C.
    before = token.read_text()
    process, _ = start(data_dir)
    with Client.connect(data_dir) as client:
        assert client.ensure_project("kept").name == "projects/kept"
    assert token.read_text() == before
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
