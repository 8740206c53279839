from pathlib import Path

import pytest
import typer
from rich.table import Table

from sightsmith.cli.output import Output
from sightsmith.errors import FailedPreconditionError, UnauthenticatedError


@pytest.mark.parametrize(
    ("path", "message"),
    [("gone.jpg", "there is no file {}/gone.jpg"), ("away/gone.jpg", "there is no folder {}/away"), ("", "{}: Is a")],
)
def test_a_missing_file_is_told_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], path: str, message: str
) -> None:
    with pytest.raises(typer.Exit), Output(as_json=False).failing_clearly():
        (tmp_path / path).read_bytes()
    told = capsys.readouterr().err
    assert message.format(tmp_path) in told
    assert "Errno" not in told


@pytest.mark.parametrize("columns", ["", "40"])
def test_names_are_whole(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: str) -> None:
    name = f"projects/shop/datasets/train/images/{'0123456789' * 20}"
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    table = Table("image")
    table.add_row(name)
    Output(as_json=False).result({}, table)
    cells = [line.strip("│ ") for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert "".join(cells) == name
    assert len(cells) > 1 if columns else len(cells) == 1


def test_errors_say_what_to_do(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def told(error: Exception) -> str:
        with pytest.raises(typer.Exit), Output(as_json=False).failing_clearly():
            raise error
        return capsys.readouterr().err

    stopped = {"state": "STOPPED", "deployment": "projects/shop/deployments/live"}
    assert "sightsmith deployments start shop live" in told(FailedPreconditionError("is STOPPED", metadata=stopped))
    assert "\nto" not in told(FailedPreconditionError("is RUNNING", metadata={"state": "RUNNING"}))
    monkeypatch.setenv("SIGHTSMITH_TOKEN", "wrong")
    assert "SIGHTSMITH_TOKEN is set and overrides" in told(UnauthenticatedError("a token is needed"))
    refused = FailedPreconditionError("with leave_out_rare_labels it would do", reason="NOT_ENOUGH_DATA")
    assert "with --leave-out-rare-labels it would do" in told(refused)
