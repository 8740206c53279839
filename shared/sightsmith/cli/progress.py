"""How far something is: a bar with the time left on a terminal, and lines in a log."""

from datetime import timedelta
from threading import Event, Thread
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

_SECONDS_BETWEEN_LINES = 30.0


def progress_on(console: Console) -> Progress:
    """What shows progress on a console. Tasks need the field `note`, and may have `left`: the seconds that are left."""
    return _bar_on(console) if console.is_interactive else ProgressLines(console)


class ProgressLines(Progress):
    """A line whenever something else is begun, and every so often."""

    def __init__(self, console: Console, seconds: float = _SECONDS_BETWEEN_LINES) -> None:
        """Prepares it.

        Args:
            console: where the lines go.
            seconds: how long nothing may be told.
        """
        super().__init__(console=console, disable=True)
        self._seconds = seconds
        self._over = Event()
        self._clock = Thread(target=self._tell_every_so_often, daemon=True)

    def start(self) -> None:
        """Begins to tell every so often."""
        self._clock.start()

    def stop(self) -> None:
        """Tells nothing more."""
        self._over.set()
        self._clock.join()

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """Takes note of changes of a task; tells them if it does something else now."""
        before = self._tasks[task_id].description
        super().update(task_id, **changes)
        task = self._tasks[task_id]
        if task.description != before:
            self._tell(task)

    def _tell_every_so_often(self) -> None:
        while not self._over.wait(self._seconds):
            for task in self.tasks:
                self._tell(task)

    def _tell(self, task: Task) -> None:
        count = f"{task.completed:,.0f} done" if task.completed else ""
        done = f"{task.percentage:.0f} %" if task.total else count
        left = time_left(task.fields.get("left"))
        parts = (done, task.fields["note"], f"{left} left" if left else "")
        line = ": ".join(filter(None, (task.description, ", ".join(filter(None, parts)))))
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


def time_left(seconds: float | None) -> str:
    """Such as `0:05:10`; empty if it is not known."""
    return "" if seconds is None else str(timedelta(seconds=round(seconds)))


def _bar_on(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("left"),
        _TimeLeft(),
        console=console,
    )


class _TimeLeft(ProgressColumn):
    """The time that a task says is left; by the pace so far if it says nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._by_pace = TimeRemainingColumn()

    def render(self, task: Task) -> Text:
        if "left" not in task.fields:
            return self._by_pace.render(task)
        return Text(time_left(task.fields["left"]) or "-:--:--", style="progress.remaining")
