from pathlib import Path

import pytest
import typer

from sightsmith.cli.output import Output


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
