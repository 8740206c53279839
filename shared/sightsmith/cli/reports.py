"""`sightsmith models report`."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from sightsmith.api.training.v1.evaluation_pb2 import EvaluatedImage
from sightsmith.api.training.v1.report_file_pb2 import ReportFile
from sightsmith.cli.models import ModelArgument
from sightsmith.cli.output import MOST, JsonOption, Output
from sightsmith.cli.own_names import own_name
from sightsmith.cli.training import LATEST, ProjectArgument, model_name
from sightsmith.client import Client
from sightsmith.errors import FailedPreconditionError
from sightsmith.names import ModelName, TrainingJobName

_PAGE = "report.html"
_PICTURES = "images"


def report_command(
    project: ProjectArgument,
    model: ModelArgument = LATEST,
    folder: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where the files go; PROJECT-MODEL-report if left out.")
    ] = None,
    training: Annotated[
        str, typer.Option(help="Instead of a model, id of a training that failed because of its data.")
    ] = "",
    pictures: Annotated[
        int,
        typer.Option(
            min=0, max=MOST, help="Also draw so many judged images, the most confident mistakes first, as PNG files."
        ),
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Download what tells of a training: a page to open in a browser, and the result files of Custom Labels."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        if training:
            _report_of_training(
                client,
                TrainingJobName.parse(own_name(TrainingJobName, project, training, "--training")),
                folder,
                output,
            )
        else:
            _report_of_model(client, model_name(client, project, model), folder, pictures, output)


def _report_of_model(client: Client, model: str, folder: Path | None, pictures: int, output: Output) -> None:
    found, name = client.model(model), ModelName.parse(model)
    for problem in found.report_problems:
        output.console.print(f"[yellow]missing[/yellow]: {escape(problem)}")
    if not found.report_files:
        why = "nothing of it could be written" if found.report_problems else "it was trained before there were reports"
        raise FailedPreconditionError(f"{model} has no report: {why}")
    folder = folder or Path(f"{name.project}-{name.model}-report")
    folder.mkdir(parents=True, exist_ok=True)
    files = _download(client, model, found.report_files, folder, output)
    written = [*files, *_draw(client, model, folder, pictures, output)]
    told = f"the report of {model} is in {folder}"
    told += f"; open {folder / _PAGE}" if folder / _PAGE in files else ""
    output.result({"model": model, "files": [str(path) for path in written]}, escape(told))


def _report_of_training(client: Client, name: TrainingJobName, folder: Path | None, output: Output) -> None:
    job = client.training_job(str(name))
    for problem in job.report_problems:
        output.console.print(f"[yellow]missing[/yellow]: {escape(problem)}")
    if not job.report_files:
        raise FailedPreconditionError(f"{name} has no report: only a training that failed because of its data has one")
    folder = folder or Path(f"{name.project}-{name.training_job}-report")
    folder.mkdir(parents=True, exist_ok=True)
    files = _download(client, job.name, job.report_files, folder, output)
    told = f"what is wrong with the data of {name} is in {folder}"
    output.result({"training_job": job.name, "files": [str(path) for path in files]}, escape(told))


def _download(client: Client, name: str, files: Iterable[ReportFile], folder: Path, output: Output) -> list[Path]:
    wanted = [(file, folder / file.path) for file in files]
    with output.progress() as progress:
        task = progress.add_task("downloading", total=sum(file.size_bytes for file, _ in wanted), note="")
        for file, target in wanted:
            client.reports.download(name, file, target, lambda count: progress.advance(task, count))
    return [target for _, target in wanted]


def _draw(client: Client, model: str, folder: Path, most: int, output: Output) -> list[Path]:
    if not most:
        return []
    (folder / _PICTURES).mkdir(exist_ok=True)
    images = list(islice(client.evaluations.images(model), most))
    targets = [folder / _PICTURES / _picture_name(number, image) for number, image in enumerate(images, start=1)]
    with output.progress() as progress:
        task = progress.add_task("drawing", total=len(images), note="")
        for image, target in zip(images, targets, strict=True):
            target.write_bytes(client.reports.draw(model, image.image))
            progress.advance(task)
    return targets


def _picture_name(number: int, image: EvaluatedImage) -> str:
    """Numbered by rank, with the image's id: sources may hold anything."""
    return f"{number:04}-{image.image.rpartition('/')[2]}.png"
