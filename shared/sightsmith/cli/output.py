"""What commands print: results on standard output, for people or as JSON; progress and errors on standard error."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from google.protobuf import json_format
from google.protobuf.message import Message
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from sightsmith.cli.hints import hint_of, in_options
from sightsmith.cli.progress import progress_on
from sightsmith.client import ConnectionNotFoundError, SightsmithError
from sightsmith.client.labelled_folder import FolderError
from sightsmith.client.video import VideoError
from sightsmith.demo.errors import DemoPhotosError
from sightsmith.stack.errors import StackError

_NO_EDGE = 10_000
# No list is longer, and no count in the API greater.
MOST = 2**31 - 1
SeedOption = Annotated[int, typer.Option(help="Decides everything random.", min=0, max=2**32 - 1)]
# Every command has it.
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


class Output:
    """Where a command prints."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._results = _console()
        self.console = _console(stderr=True, quiet=as_json)

    def result(self, value: Mapping[str, Any], *for_people: RenderableType) -> None:
        """Prints a command's result: the value as JSON, or what people would rather see."""
        if self._as_json:
            typer.echo(json.dumps(value, ensure_ascii=False, indent=2))
            return
        for item in for_people:
            self._results.print(_wrapping(item))

    def error(self, message: str, value: Mapping[str, Any] | None = None) -> None:
        """Prints why a command failed."""
        if self._as_json:
            typer.echo(json.dumps({"error": {"message": message, **(value or {})}}, ensure_ascii=False), err=True)
        else:
            self.console.print(f"[bold red]error:[/] {escape(message)}", highlight=False, soft_wrap=True)

    def progress(self) -> Progress:
        """A progress bar with the time left; lines where there is no terminal."""
        return progress_on(self.console)

    @contextmanager
    def failing_clearly(self) -> Iterator[None]:
        """Turns errors that a user can do something about into a message and exit code 1."""
        try:
            yield
        except SightsmithError as error:
            hint = hint_of(error)
            self.error(_text_of(error, hint), _fields_of(error, hint))
            raise typer.Exit(1) from error
        except (ConnectionNotFoundError, DemoPhotosError, FolderError, StackError, TimeoutError, VideoError) as error:
            self.error(str(error))
            raise typer.Exit(1) from error
        except OSError as error:
            self.error(_file_problem(error))
            raise typer.Exit(1) from error
        except ValueError as error:
            # pydantic's error, which most commands have no other need to import.
            if not hasattr(error, "errors"):
                raise
            self.error("; ".join(_setting_problem(problem["loc"], problem["msg"]) for problem in error.errors()))
            raise typer.Exit(2) from error


def _file_problem(error: OSError) -> str:
    """What is wrong with a file, without the number that the system has for it."""
    if error.filename is None or error.strerror is None:
        return str(error)
    path = Path(os.fsdecode(error.filename))
    if not isinstance(error, FileNotFoundError):
        return f"{path}: {error.strerror}"
    return f"there is no file {path}" if path.absolute().parent.is_dir() else f"there is no folder {path.parent}"


def _setting_problem(place: tuple[int | str, ...], message: str) -> str:
    """What is wrong with a setting, by the name that it has in the environment."""
    return f"SIGHTSMITH_{'_'.join(map(str, place)).upper()}: {message}" if place else message


def fields_of(message: Message) -> dict[str, Any]:
    """A message of the API as JSON values, with the field names of the protos."""
    fields: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return fields


def list_of(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages of the API as JSON values."""
    return [fields_of(message) for message in messages]


def _console(**options: Any) -> Console:
    """A console. Where no terminal is there, nobody sees an edge, and whoever reads on wants whole names."""
    console = Console(**options)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _NO_EDGE
    return console


def _wrapping(item: RenderableType) -> RenderableType:
    """Lets tables fold what is too long for them, where rich would cut it."""
    if isinstance(item, Table):
        for column in item.columns:
            # What is not to be wrapped are figures: of these, better none than a half.
            column.overflow = "ellipsis" if column.no_wrap else "fold"
    return item


def _text_of(error: SightsmithError, hint: str | None) -> str:
    lines = [f"{error.message} [{error.reason}]"]
    lines += [f"  {v.field}: {v.description}" for v in error.violations if v.description not in error.message]
    lines += [hint] if hint else []
    return in_options("\n".join(lines))


def _fields_of(error: SightsmithError, hint: str | None) -> dict[str, Any]:
    violations = [{"field": v.field, "description": v.description} for v in error.violations]
    told = {"reason": error.reason, "metadata": error.metadata, "violations": violations}
    return {**told, "hint": hint} if hint else told
