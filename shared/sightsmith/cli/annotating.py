"""`sightsmith annotations`, `annotate`, `unannotate`, `move`, `describe`, `create-dataset`, `download`."""

import mimetypes
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from sightsmith.api.labeling.v1.annotation_pb2 import Annotation, BoundingBox
from sightsmith.api.labeling.v1.dataset_pb2 import Split
from sightsmith.cli.boxes import BOX, BOX_HELP, box_text, read_box
from sightsmith.cli.datasets import ProjectArgument
from sightsmith.cli.image_names import DatasetOption, ImageArgument, ImagesArgument, image_name, image_names
from sightsmith.cli.output import JsonOption, Output, fields_of, list_of
from sightsmith.client import Client
from sightsmith.counting import counted
from sightsmith.names import DatasetName, ProjectName

EtagOption = Annotated[str, typer.Option(help="Edit only if this is still the image's etag.")]


class Purpose(StrEnum):
    """What the images of a dataset are for."""

    TRAIN = "train"
    TEST = "test"


def annotations_command(
    project: ProjectArgument, image: ImageArgument, dataset: DatasetOption = "train", as_json: JsonOption = False
) -> None:
    """List what is annotated on an image, with who did it."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        annotations = list(client.annotations.list(str(image_name(project, dataset, image))))
    output.result({"annotations": list_of(annotations)}, _table(annotations) if annotations else "nothing yet")


def annotate_command(
    project: ProjectArgument,
    image: ImageArgument,
    label: Annotated[str, typer.Argument(help="The label; made if the project does not have it.")],
    box: Annotated[
        BoundingBox | None,
        typer.Option(parser=read_box, metavar=BOX, help=f"A box {BOX_HELP}; the whole image if left out."),
    ] = None,
    dataset: DatasetOption = "train",
    etag: EtagOption = "",
    as_json: JsonOption = False,
) -> None:
    """Put a label on an image, or on a box in it."""
    output = Output(as_json)
    annotation = Annotation(label=label, box=box)
    with output.failing_clearly(), Client.connect() as client:
        made = client.annotations.create(str(image_name(project, dataset, image)), annotation, etag)
    output.result(fields_of(made), made.name)


def unannotate_command(
    project: ProjectArgument,
    image: ImageArgument,
    numbers: Annotated[list[int], typer.Argument(help="Numbers of the annotations.", min=1)],
    dataset: DatasetOption = "train",
    etag: EtagOption = "",
    as_json: JsonOption = False,
) -> None:
    """Take annotations off an image."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        parent, (name,) = image_names(project, dataset, [image])
        names = [f"{name}/annotations/{number}" for number in dict.fromkeys(numbers)]
        client.annotations.delete_all(str(parent), names, etag)
    output.result({"deleted": names}, f"taken off: {len(names)}")


def move_command(
    project: ProjectArgument,
    images: ImagesArgument,
    source: Annotated[str, typer.Option("--from", help="Id of the dataset that images given by id are in.")] = "train",
    destination: Annotated[str, typer.Option("--to", help="Id of the dataset to move them to.")] = "test",
    as_json: JsonOption = False,
) -> None:
    """Move images to the project's other dataset."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        parent, names = image_names(project, source, images)
        moved = client.images.move(str(parent), names, str(DatasetName(project, destination)))
    output.result({"images": list_of(moved)}, f"moved: {counted(len(moved), 'image')}")


def describe_command(
    project: ProjectArgument,
    called: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="NAME=VALUE; all tags are replaced by those given.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Create a project if it is not there, and set its display name and tags."""
    output = Output(as_json)
    tags = dict(_tag(one) for one in tag) if tag is not None else None
    with output.failing_clearly(), Client.connect() as client:
        found = client.ensure_project(project)
        if called is not None or tags is not None:
            found = client.images.update_project(str(ProjectName(project)), display_name=called, tags=tags)
    output.result(fields_of(found), f"{found.name}: {escape(found.display_name)}")


def create_dataset_command(
    project: ProjectArgument,
    dataset: Annotated[str, typer.Argument(help="Id of the dataset.")],
    split: Annotated[Purpose, typer.Option(help="What its images are for.")],
    as_json: JsonOption = False,
) -> None:
    """Create a dataset without any image; imports make those that they need."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        made = client.images.create_dataset(str(ProjectName(project)), dataset, Split.Value(f"SPLIT_{split.name}"))
    output.result(fields_of(made), made.name)


def download_command(
    project: ProjectArgument,
    images: ImagesArgument,
    folder: Annotated[Path, typer.Option("--output", "-o", help="Folder to write them to, named by id.")],
    thumbnails: Annotated[bool, typer.Option("--thumbnails", help="Small copies in place of the images.")] = False,
    dataset: DatasetOption = "train",
    as_json: JsonOption = False,
) -> None:
    """Write images to files."""
    output = Output(as_json)
    written: list[str] = []
    with output.failing_clearly(), Client.connect() as client:
        names = [image_name(project, dataset, image) for image in images]
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            found = client.images.get(str(name))
            kind = "image/jpeg" if thumbnails else found.media_type
            path = folder / f"{name.image}{mimetypes.guess_extension(kind) or ''}"
            path.write_bytes(client.thumbnail(found.name) if thumbnails else client.download(found.name))
            written.append(str(path))
    output.result({"files": written}, *written)


def _tag(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise typer.BadParameter(f"must be NAME=VALUE, not {text!r}", param_hint="--tag")
    return name, value


def _table(annotations: list[Annotation]) -> Table:
    table = Table()
    for heading in ("number", "label", "box", "made by", "when"):
        table.add_column(heading, overflow="fold")
    for annotation in annotations:
        where = box_text(annotation.box) if annotation.HasField("box") else ""
        origin = Annotation.Origin.Name(annotation.origin).removeprefix("ORIGIN_").lower()
        confidence = f", {annotation.confidence:.2f}" if annotation.HasField("confidence") else ""
        when = annotation.create_time.ToDatetime().isoformat(" ", "seconds")
        number = annotation.name.rpartition("/")[2]
        table.add_row(
            number, escape(annotation.label), where, escape(f"{origin} {annotation.author}{confidence}"), when
        )
    return table
