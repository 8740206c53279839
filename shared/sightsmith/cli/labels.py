"""`sightsmith labels` and what is done to them."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from sightsmith.api.labeling.v1.dataset_pb2 import SPLIT_TEST, SPLIT_TRAIN
from sightsmith.api.labeling.v1.label_pb2 import Label
from sightsmith.cli.output import JsonOption, Output, fields_of, list_of
from sightsmith.client import Client
from sightsmith.names import ProjectName

ProjectArgument = Annotated[str, typer.Argument(help="Id of the project.")]
LabelArgument = Annotated[str, typer.Argument(help="What the label is called.")]

labels_app = typer.Typer(help="List, create, rename, merge and delete the labels of a project.", no_args_is_help=True)


@labels_app.command("list")
def list_command(project: ProjectArgument, as_json: JsonOption = False) -> None:
    """List the labels of a project with their images and boxes."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        labels = list(client.labels.list(str(ProjectName(project))))
    output.result({"labels": list_of(labels)}, _table(labels) if labels else "no labels yet")


@labels_app.command("create")
def create_command(project: ProjectArgument, label: LabelArgument, as_json: JsonOption = False) -> None:
    """Create a label before any image carries it."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        created = client.labels.create(str(ProjectName(project)), label)
    output.result(fields_of(created), f"created: {escape(created.display_name)}")


@labels_app.command("rename")
def rename_command(
    project: ProjectArgument,
    label: LabelArgument,
    new: Annotated[str, typer.Argument(help="What it is to be called.")],
    as_json: JsonOption = False,
) -> None:
    """Call a label something else, on every image."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        renamed = client.labels.rename(client.labels.find(str(ProjectName(project)), label).name, new)
    output.result(fields_of(renamed), f"renamed: {escape(label)} is now {escape(renamed.display_name)}")


@labels_app.command("merge")
def merge_command(
    project: ProjectArgument,
    label: LabelArgument,
    into: Annotated[str, typer.Argument(help="The label that it becomes.")],
    as_json: JsonOption = False,
) -> None:
    """Turn one label into another, on every image."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        parent = str(ProjectName(project))
        source, target = client.labels.find(parent, label), client.labels.find(parent, into)
        merged = client.labels.merge(source.name, target.name)
    output.result(fields_of(merged), _table([merged]))


@labels_app.command("delete")
def delete_command(
    project: ProjectArgument,
    label: LabelArgument,
    force: Annotated[bool, typer.Option("--force", help="Take it off the images that carry it.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete a label."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        found = client.labels.find(str(ProjectName(project)), label)
        client.labels.delete(found.name, force)
    output.result({"deleted": [found.name]}, f"deleted: {escape(label)}")


def _table(labels: list[Label]) -> Table:
    table = Table()
    table.add_column("label", overflow="fold")
    for heading in ("train images", "train boxes", "test images", "test boxes"):
        table.add_column(heading, justify="right")
    for label in labels:
        counts = {count.split: (str(count.image_count), str(count.box_count)) for count in label.split_counts}
        empty = ("", "")
        table.add_row(escape(label.display_name), *counts.get(SPLIT_TRAIN, empty), *counts.get(SPLIT_TEST, empty))
    return table
