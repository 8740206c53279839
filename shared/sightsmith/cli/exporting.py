"""`sightsmith export`."""

from pathlib import Path
from typing import Annotated

import typer

from sightsmith.api.labeling.v1.export_job_pb2 import ExportJob
from sightsmith.cli.import_jobs import FORMAT_NAMES, format_of, shown_progress
from sightsmith.cli.output import JsonOption, Output, fields_of
from sightsmith.client import Client
from sightsmith.client.transfers import require_success
from sightsmith.counting import counted
from sightsmith.names import DatasetName, ProjectName


def export_command(
    project: Annotated[str, typer.Argument(help="Id of the project.")],
    format_name: Annotated[str, typer.Option("--format", help=f"One of {', '.join(FORMAT_NAMES)}.")],
    target: Annotated[Path, typer.Option("--output", "-o", help="The zip archive to write.")],
    dataset: Annotated[str | None, typer.Option(help="Id of the dataset; the whole project if left out.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="Only images with this label; may be repeated.")] = None,
    labelled_only: Annotated[bool, typer.Option("--labelled-only", help="Leave out what has no annotation.")] = False,
    with_images: Annotated[bool, typer.Option("--with-images", help="Pack the images too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a project's images and annotations to an archive in the format of another tool."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        if target.is_dir() or not target.absolute().parent.is_dir():
            raise FileNotFoundError(f"{target} must name a file in a folder that exists")
        wanted = ExportJob(
            format=format_of(format_name),
            dataset=str(DatasetName(project, dataset)) if dataset else "",
            labels=label or [],
            labelled_only=labelled_only,
            with_images=with_images,
        )
        job = _follow(client, client.transfers.begin_export(str(ProjectName(project)), wanted), output)
        require_success(job)
        with output.progress() as progress:
            task = progress.add_task("downloading", total=job.result.size_bytes, note="")
            client.transfers.download_export(job.name, target, lambda count: progress.advance(task, count))
    result = job.result
    boxes = "1 box" if result.box_count == 1 else f"{result.box_count} boxes"
    told = f"{counted(result.image_count, 'image')}, {counted(result.label_count, 'label')}, {boxes}"
    output.result({**fields_of(job), "file": str(target)}, f"[bold]{told}[/] in {target}")


def _follow(client: Client, job: ExportJob, output: Output) -> ExportJob:
    """Shows a job's progress until it ends; the job is stopped if the user stops looking."""
    try:
        with output.progress() as progress:
            task = progress.add_task("exporting", total=None, note="")
            for change in client.transfers.watch_export(job.name):
                job = change
                progress.update(task, **shown_progress(job.progress))
    except KeyboardInterrupt:
        client.transfers.cancel_export(job.name)
        raise typer.Exit(130) from None
    return job
