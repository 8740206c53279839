"""Progress where there is no terminal."""

import io
import time

from rich.console import Console
from rich.progress import Progress

from sightsmith.cli.progress import ProgressLines, progress_on, time_left


def console() -> tuple[Console, io.StringIO]:
    written = io.StringIO()
    return Console(file=written, force_terminal=False, width=40), written


def test_a_line_tells_of_everything_that_is_begun() -> None:
    on, written = console()
    with progress_on(on) as progress:
        task = progress.add_task("waiting", total=100, note="", left=None)
        progress.update(task, description="reading images", completed=3)
        progress.update(task, completed=20)
        progress.update(task, description="fitting", completed=50.4, note="epoch [3] of 9, best 0.912", left=310.2)
        other = progress.add_task("importing", total=None, note="")
        progress.advance(other, 1200)
        progress.update(other, description="packing")
    assert written.getvalue().splitlines() == [
        "reading images: 3 %",
        "fitting: 50 %, epoch [3] of 9, best 0.912, 0:05:10 left",
        "packing: 1,200 done",
    ]


def test_quiet_times_are_told_too() -> None:
    on, written = console()
    with ProgressLines(on, seconds=0.02) as progress:
        progress.add_task("waiting for a worker", total=100, note="")
        deadline = time.monotonic() + 5
        while written.getvalue().count("waiting for a worker: 0 %\n") < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
    lines = written.getvalue().splitlines()
    assert len(lines) >= 2
    assert set(lines) == {"waiting for a worker: 0 %"}
    time.sleep(0.06)
    assert written.getvalue().splitlines() == lines, "nothing is told when it is over"


def test_a_terminal_has_a_bar() -> None:
    written = io.StringIO()
    with progress_on(Console(file=written, force_terminal=True, width=120)) as progress:
        assert not isinstance(progress, ProgressLines)
        assert isinstance(progress, Progress)
        known = progress.add_task("fitting", total=100, note="[epoch 3]", left=310)
        progress.add_task("uploading", total=10, note="")
        progress.update(known, completed=50)
        progress.refresh()
    assert "[epoch 3]" in written.getvalue()
    assert "0:05:10" in written.getvalue()


def test_unknown_times_are_not_told() -> None:
    assert time_left(None) == ""
    assert time_left(3 * 3600 + 1.4) == "3:00:01"
