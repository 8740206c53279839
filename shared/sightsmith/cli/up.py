"""`sightsmith up`: the whole stack in the foreground."""

import signal
import time
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.status import Status
from rich.table import Table

from sightsmith.cli.output import JsonOption, Output
from sightsmith.stack.endpoints import Endpoints
from sightsmith.stack.errors import StackError
from sightsmith.stack.settings import StackSettings
from sightsmith.stack.stack import Stack

_LOOK_SECONDS = 1.0


def up_command(
    free_ports: Annotated[
        bool, typer.Option("--free-ports", help="Take whatever ports are free, beside another stack.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Start the whole stack in the foreground and say where everything listens; Ctrl-C stops it."""
    output = Output(as_json)
    # A service manager's stop is as orderly as Ctrl-C; and a shell that starts us in the background ignores Ctrl-C.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    with output.failing_clearly():
        stack = start_stack(StackSettings(free_ports=True) if free_ports else StackSettings(), output)
        try:
            output.result({key: str(value) for key, value in asdict(stack.endpoints).items()}, _table(stack.endpoints))
            output.console.print("Ready. Ctrl-C stops everything.")
            while stack.is_alive:
                time.sleep(_LOOK_SECONDS)
            raise StackError(f"the stack has ended by itself; see the logs in {stack.endpoints.data_dir / 'logs'}")
        except KeyboardInterrupt:
            output.console.print("stopping")
        finally:
            _let_stop_finish()
            stack.stop()
    output.console.print("stopped")


def start_stack(settings: StackSettings, output: Output) -> Stack:
    """Starts a stack and returns when all of it is ready; nothing is left running if it fails."""
    stack = Stack(settings)
    with output.console.status("starting") as status:
        try:
            stack.start()
            stack.wait_ready(Starts(output.console, status).tell)
        except BaseException:
            _let_stop_finish()
            stack.stop()
            raise
    return stack


class Starts:
    """Tells how the processes of a stack start: one line each and, on a terminal, which ones are waited for."""

    def __init__(self, console: Console, status: Status) -> None:
        self._console = console
        self._status = status
        self._begins: dict[str, float] = {}

    def tell(self, process: str, state: str) -> None:
        """Takes note that a process is "starting" or "ready"."""
        now = time.monotonic()
        if state == "ready":
            seconds = now - self._begins.pop(process, now)
            self._console.print(f"{process}: ready after {seconds:.1f} s", highlight=False)
        elif process not in self._begins:
            self._begins[process] = now
            if not self._console.is_terminal:
                # Nobody sees a status there, and the log is to tell what did not come up.
                self._console.print(f"{process}: starting", highlight=False)
        if self._begins:
            self._status.update(f"waiting for {', '.join(self._begins)}")


def _let_stop_finish() -> None:
    """A second Ctrl-C must not leave half of the processes behind."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _table(endpoints: Endpoints) -> Table:
    table = Table(title="Sightsmith is up", title_justify="left", show_header=False)
    rows = {
        "labeling (gRPC)": endpoints.labeling,
        "training (gRPC)": endpoints.training,
        "inference (gRPC)": endpoints.inference,
        "Triton (gRPC)": endpoints.triton_target,
        "Triton (HTTP)": endpoints.triton_url or "elsewhere",
        "NATS": endpoints.nats_url,
        "PostgreSQL": endpoints.database_url,
        "objects": endpoints.object_store_url,
        "token": str(endpoints.token_file),
        "data and logs": str(endpoints.data_dir),
    }
    rows |= {f"metrics of {process}": url for process, url in endpoints.metrics.items()}
    for name, value in rows.items():
        table.add_row(name, value)
    return table
