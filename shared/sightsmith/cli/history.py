"""`sightsmith history`: who did what."""

from collections.abc import Iterable
from itertools import islice
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from sightsmith.api.labeling.v1.change_service_pb2 import Change
from sightsmith.cli.datasets import ProjectArgument
from sightsmith.cli.image_names import IMAGE_HELP, image_name
from sightsmith.cli.output import MOST, JsonOption, Output, fields_of, list_of
from sightsmith.client import Client
from sightsmith.errors import InvalidArgumentError
from sightsmith.names import ProjectName

# Of a long list; `--json` has all.
_SHOWN = 3


def history_command(
    project: ProjectArgument,
    image: Annotated[str, typer.Option(help=f"Only what was done to this image, {IMAGE_HELP}.")] = "",
    resource: Annotated[str, typer.Option(help="Only what was done to this: its full name.")] = "",
    action: Annotated[str, typer.Option(help="Only this action, as labels.rename, or a kind of it, as labels.*.")] = "",
    actor: Annotated[str, typer.Option(help="Only what this person or program did.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="How many to show.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """Show who did what to a project, newest first."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        if image:
            if resource:
                raise InvalidArgumentError.of_field("--resource", "cannot be given together with --image")
            # Whichever dataset is named: an image's history is that of its whole life in the project.
            resource = str(image_name(project, "train", image))
        trail = client.changes.list(str(ProjectName(project)), resource=resource, action=action, actor=actor)
        changes = list(islice(trail, limit))
    output.result({"changes": list_of(changes)}, _table(changes) if changes else "nothing yet")


def _table(changes: Iterable[Change]) -> Table:
    table = Table()
    for heading in ("when", "who", "what", "to", "details"):
        table.add_column(heading, overflow="fold")
    for change in changes:
        when = change.create_time.ToDatetime().isoformat(" ", "seconds")
        details = readable(fields_of(change.details))
        table.add_row(when, escape(change.actor), change.action, escape(change.resource), escape(details))
    return table


def readable(value: Any) -> str:
    """A JSON value as people would write it: of a long list the beginning, and nothing of what is empty."""
    match value:
        case dict():
            said = {name: text for name, one in sorted(value.items()) if (text := _inner(one))}
            return ", ".join(f"{name.replace('_', ' ')}: {text}" for name, text in said.items())
        case list():
            more = f" and {len(value) - _SHOWN} more" if len(value) > _SHOWN else ""
            return ", ".join(map(_inner, value[:_SHOWN])) + more
        case bool():
            return "yes" if value else "no"
        case float() if value.is_integer():
            return str(int(value))
        case None:
            return ""
    return str(value)


def _inner(value: Any) -> str:
    text = readable(value)
    return f"({text})" if isinstance(value, dict) and text else text
