"""`sightsmith projects`, `datasets`, `images` and `delete`."""

from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from sightsmith.api.labeling.v1 import dataset_pb2, image_pb2, labeling_service_pb2
from sightsmith.cli.image_names import IMAGE_HELP, image_names
from sightsmith.cli.output import MOST, JsonOption, Output, list_of
from sightsmith.client import Client
from sightsmith.counting import counted
from sightsmith.names import DatasetName, ProjectName

ProjectArgument = Annotated[str, typer.Argument(help="Id of the project.")]
DatasetArgument = Annotated[str, typer.Argument(help="Id of the dataset.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Delete what is in it too.")]
_MOST_IMAGES_AT_ONCE = 1000


class Order(StrEnum):
    """The orders of a list of images."""

    OLDEST = "oldest"
    NEWEST = "newest"
    SOURCE = "source"


_ORDERS = {Order.OLDEST: "create_time", Order.NEWEST: "create_time desc", Order.SOURCE: "source"}


def projects_command(as_json: JsonOption = False) -> None:
    """List all projects."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        projects = list(client.images.projects())
    table = Table()
    for heading in ("project", "called", "tags"):
        table.add_column(heading, overflow="fold")
    for project in projects:
        tags = ", ".join(f"{name}={value}" for name, value in sorted(project.tags.items()))
        table.add_row(_last(project.name), escape(project.display_name), escape(tags))
    output.result({"projects": list_of(projects)}, table if projects else "no projects yet")


def datasets_command(project: ProjectArgument, as_json: JsonOption = False) -> None:
    """List the datasets of a project with their counts."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        datasets = client.datasets(project)
    table = Table()
    table.add_column("dataset")
    table.add_column("split")
    for heading in ("images", "labelled", "with problems", "without bytes", "labels"):
        table.add_column(heading, justify="right")
    for dataset in datasets:
        counts = (
            dataset.image_count,
            dataset.labelled_image_count,
            dataset.erroneous_image_count,
            dataset.unready_image_count,
            len(dataset.label_counts),
        )
        split = dataset_pb2.Split.Name(dataset.split).removeprefix("SPLIT_").lower()
        table.add_row(_last(dataset.name), split, *map(str, counts))
    output.result({"datasets": list_of(datasets)}, table if datasets else "no datasets yet")


def images_command(
    project: ProjectArgument,
    dataset: DatasetArgument = "train",
    label: Annotated[list[str] | None, typer.Option(help="Only images with this label, or another one given.")] = None,
    labelled: Annotated[bool | None, typer.Option(help="Only images with labels, or without.")] = None,
    problems: Annotated[bool | None, typer.Option(help="Only images with problems, or without.")] = None,
    source: Annotated[str, typer.Option(help="Only images with this in their source.")] = "",
    author: Annotated[list[str] | None, typer.Option(help="Only images that this author labelled.")] = None,
    after: Annotated[datetime | None, typer.Option(help="Only images that came later.")] = None,
    order: Annotated[Order, typer.Option(help="Which come first.")] = Order.OLDEST,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="How many to show.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """List the images of a dataset."""
    output = Output(as_json)
    wanted = labeling_service_pb2.ImageFilter(
        labels=label, labelled=labelled, has_problems=problems, source_contains=source, authors=author
    )
    if after is not None:
        wanted.created_after.FromDatetime(after.astimezone())
    with output.failing_clearly(), Client.connect() as client:
        found = client.images.list(str(DatasetName(project, dataset)), wanted, _ORDERS[order])
        images = list(islice(found, limit))
    output.result({"images": list_of(images)}, _images_table(images) if images else "no such images")


def delete_command(
    project: ProjectArgument,
    dataset: Annotated[str, typer.Option(help="Delete this dataset, or images of it, and not the project.")] = "",
    image: Annotated[list[str] | None, typer.Option(help=f"Delete this image, {IMAGE_HELP}; may be repeated.")] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete a project, one of its datasets, or images of a dataset."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        if image:
            parent, names = image_names(project, dataset or "train", image)
            for begin in range(0, len(names), _MOST_IMAGES_AT_ONCE):
                client.images.delete(str(parent), names[begin : begin + _MOST_IMAGES_AT_ONCE])
            output.result({"deleted": names}, f"deleted: {counted(len(names), 'image')}")
            return
        name = str(DatasetName(project, dataset)) if dataset else str(ProjectName(project))
        (client.images.delete_dataset if dataset else client.images.delete_project)(name, force)
    output.result({"deleted": [name]}, f"deleted: {name}")


def _images_table(images: list[image_pb2.Image]) -> Table:
    table = Table()
    for heading in ("image", "source", "labels"):
        table.add_column(heading, overflow="fold")
    for heading in ("boxes", "problems"):
        table.add_column(heading, justify="right")
    for image in images:
        boxes = sum(annotation.HasField("box") for annotation in image.annotations)
        labels = sorted({annotation.label for annotation in image.annotations})
        names = (_last(image.name), escape(image.source), escape(", ".join(labels)))
        table.add_row(*names, str(boxes), str(len(image.problems)))
    return table


def _last(name: str) -> str:
    return name.rpartition("/")[2]
