"""`sightsmith models report`."""

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from sightsmith.api.training.v1.evaluation_pb2 import EvaluatedImage
from sightsmith.api.training.v1.model_pb2 import Model
from sightsmith.cli.models import ModelArgument
from sightsmith.cli.output import JsonOption, Output
from sightsmith.cli.training import LATEST, ProjectArgument, model_name
from sightsmith.client import Client
from sightsmith.errors import FailedPreconditionError
from sightsmith.names import ModelName

_PAGE = "report.html"
_PICTURES = "images"


def report_command(
    project: ProjectArgument,
    model: ModelArgument = LATEST,
    folder: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where the files go; PROJECT-MODEL-report if left out.")
    ] = None,
    pictures: Annotated[
        int,
        typer.Option(min=0, help="Also draw so many judged images, the most confident mistakes first, as PNG files."),
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Download what tells of a training: a page to open in a browser, and the result files of Custom Labels."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        found = client.model(model_name(client, project, model))
        if not found.report_files:
            raise FailedPreconditionError(f"{found.name} has no report: it was trained before there were reports")
        name = ModelName.parse(found.name)
        folder = folder or Path(f"{name.project}-{name.model}-report")
        folder.mkdir(parents=True, exist_ok=True)
        written = [*_download(client, found, folder, output), *_draw(client, found, folder, pictures, output)]
    told = f"the report of {found.name} is in {folder}; open {folder / _PAGE}"
    output.result({"model": found.name, "files": [str(path) for path in written]}, escape(told))


def _download(client: Client, model: Model, folder: Path, output: Output) -> list[Path]:
    targets = [folder / file.path for file in model.report_files]
    with output.progress() as progress:
        task = progress.add_task("downloading", total=sum(file.size_bytes for file in model.report_files), note="")
        for file, target in zip(model.report_files, targets, strict=True):
            client.reports.download(model.name, file, target, lambda count: progress.advance(task, count))
    return targets


def _draw(client: Client, model: Model, folder: Path, most: int, output: Output) -> list[Path]:
    if not most:
        return []
    (folder / _PICTURES).mkdir(exist_ok=True)
    images = list(islice(client.evaluations.images(model.name), most))
    targets = [folder / _PICTURES / _picture_name(number, image) for number, image in enumerate(images, start=1)]
    with output.progress() as progress:
        task = progress.add_task("drawing", total=len(images), note="")
        for image, target in zip(images, targets, strict=True):
            target.write_bytes(client.reports.draw(model.name, image.image))
            progress.advance(task)
    return targets


def _picture_name(number: int, image: EvaluatedImage) -> str:
    """Numbered by rank, with the image's id: sources may hold anything."""
    return f"{number:04}-{image.image.rpartition('/')[2]}.png"
