"""What commands refuse before they ask any service."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from sightsmith.cli.main import app

COUNTING = (
    "train shop --seed",
    "snapshots take shop --seed",
    "split shop --seed",
    "images shop --limit",
    "history shop --limit",
    "suggestions list shop --limit",
    "suggest shop --max-images",
    "review list shop --limit",
    "models mistakes shop --limit",
    "models report shop --pictures",
    "predict shop photo.jpg --max-results",
)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("imports shop --cancel", "--cancel and --report need the id of an import"),
        ("imports shop --report report.jsonl", "--cancel and --report need the id of an import"),
        ("suggestions accept shop 17 --label cat", "give ids or a filter, not both"),
        ("suggestions reject shop", "give ids, or an option"),
        ("suggestions correct shop 17 --box 1,2,3", "LEFT,TOP,WIDTH,HEIGHT"),
        ("review policy shop --required 0", "'--required': must be 1 to 20, not 0"),
        ("review policy shop --required 21", "'--required': must be 1 to 20, not 21"),
        ("review submit shop 4 --box 1,2,3,4", "LABEL=LEFT,TOP,WIDTH,HEIGHT"),
        ("review submit shop 4 --none --skip", "give --label or --box, --none, or --skip"),
        ("validate shop --test-manifest test.manifest", "--test-manifest needs --train-manifest"),
        ("models tag shop v1 colour", "must be NAME=VALUE, not 'colour'"),
        ("models list shop --tag =red", "must be NAME=VALUE, not '=red'"),
        ("models compare shop v1 v2 --on street", "--on says whose snapshot is meant"),
        ("models shop v1", "No such command 'shop'"),
        *((f"{command} 99999999999999999999", "Invalid value for '--") for command in COUNTING),
        ("train shop --budget nan", "'--budget'"),
        ("train shop --budget 1e99", "'--budget'"),
        ("predict shop photo.jpg --min-confidence 3", "'--min-confidence'"),
        ("label-next shop --deployment live", "--deployment needs --by uncertainty"),
    ],
)
def test_what_makes_no_sense_is_refused(
    arguments: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SIGHTSMITH_DATA_DIR", str(tmp_path))
    done = CliRunner().invoke(app, arguments.split(), env={"COLUMNS": "200"})
    assert done.exit_code == 2, done.output
    assert message in done.output
