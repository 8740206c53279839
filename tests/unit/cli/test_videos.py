"""Videos on the command line."""

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from sightsmith.cli.main import app
from sightsmith.cli.videos import seconds_of, time_code


@pytest.mark.parametrize(
    ("text", "seconds"), [("1s", 1), ("500ms", 0.5), ("2m", 120), ("1.5h", 5400), ("0.25", 0.25), (" .5s ", 0.5)]
)
def test_times(text: str, seconds: float) -> None:
    assert seconds_of(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "0", "0s", "-1s", "1 day", "s", "nan", "1s2", "inf"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="must be a time above 0"):
        seconds_of(text)


@pytest.mark.parametrize("arguments", [(), ("photo.jpg", "--video", "video.mp4"), ("--video", "x.mp4", "--every", "0")])
def test_images_or_a_video(arguments: tuple[str, ...]) -> None:
    assert CliRunner().invoke(app, ["predict", "shop", *arguments]).exit_code == 2


@given(st.integers(0, 359_999_999))
def test_time_codes(milliseconds: int) -> None:
    hours, minutes, seconds = time_code(milliseconds / 1000).split(":")
    assert len(hours) == len(minutes) == 2
    assert round(1000 * (3600 * int(hours) + 60 * int(minutes) + float(seconds))) == milliseconds
