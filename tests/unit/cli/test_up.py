"""What `sightsmith up` tells while a stack starts."""

import io
import re

from rich.console import Console

from sightsmith.cli.up import Starts


def test_each_process_is_told_with_how_long_it_took() -> None:
    shown = io.StringIO()
    console = Console(file=shown, width=80)
    with console.status("starting") as status:
        starts = Starts(console, status)
        for process, state in (
            ("postgres", "starting"),
            ("nats", "starting"),
            ("nats", "ready"),
            # A process that is killed on its way up is told once more.
            ("postgres", "starting"),
            ("postgres", "ready"),
        ):
            starts.tell(process, state)
    lines = re.sub(r"\d+\.\d s", "N s", shown.getvalue()).splitlines()
    assert lines == [
        "postgres: starting",
        "nats: starting",
        "nats: ready after N s",
        "postgres: ready after N s",
    ]


def test_a_terminal_sees_what_is_waited_for() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    with console.status("starting") as status:
        starts = Starts(console, status)
        starts.tell("labeling", "starting")
        starts.tell("training", "starting")
        assert status.status == "waiting for labeling, training"
        starts.tell("labeling", "ready")
        assert status.status == "waiting for training"
