"""`sightsmith batch`: predictions for any number of stored images."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from sightsmith.api.inference.v1.batch_prediction_job_pb2 import (
    BatchPredictionJob,
    BatchPredictionProgress,
    ImageUrls,
)
from sightsmith.cli.output import JsonOption, Output, fields_of, list_of
from sightsmith.cli.own_names import own_name
from sightsmith.cli.serving import DEFAULT_DEPLOYMENT
from sightsmith.cli.training import ProjectArgument
from sightsmith.client import Client
from sightsmith.client.batch_predictions import succeeded
from sightsmith.names import BatchPredictionJobName, DeploymentName

batch_app = typer.Typer(help="Predictions for any number of stored images, as jobs.", no_args_is_help=True)

JobArgument = Annotated[str, typer.Argument(help="Id of the job.")]
_MANIFESTS = (".manifest", ".jsonl", ".ndjson", ".txt")
_PHASES = {
    BatchPredictionProgress.PHASE_PLANNING: "listing images",
    BatchPredictionProgress.PHASE_PREDICTING: "predicting",
    BatchPredictionProgress.PHASE_FINISHING: "writing results",
}


class ResultFormat(StrEnum):
    """How results are written."""

    JSON_LINES = "json-lines"
    GROUND_TRUTH = "ground-truth"


@batch_app.command("create")
def create_command(
    project: ProjectArgument,
    source: Annotated[
        str,
        typer.Argument(
            help="What to look at: the URL of a folder (ends in /), of an image, or of a file that names images "
            f"({', '.join(_MANIFESTS)}); projects/PROJECT/datasets/ID or projects/PROJECT/snapshots/N; "
            "or a file of yours with a URL a line."
        ),
    ],
    deployment: Annotated[str, typer.Option(help="Which deployment to ask.")] = DEFAULT_DEPLOYMENT,
    min_confidence: Annotated[
        float | None, typer.Option(help="Leave out what is below, 0 to 1; by the model's own rule if left out.")
    ] = None,
    max_results: Annotated[int, typer.Option(help="How many labels or boxes an image at most; 0 for all.")] = 0,
    label: Annotated[list[str] | None, typer.Option(help="Only this label; may be given several times.")] = None,
    output_prefix: Annotated[str, typer.Option(help="Folder below which the results are written.")] = "",
    result_format: Annotated[
        list[ResultFormat] | None, typer.Option("--format", help="How to write results; both ways if left out.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Queue the job and return.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Queue a job, and follow it to its end."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        wanted = BatchPredictionJob(
            deployment=str(DeploymentName(project, deployment)),
            min_confidence=min_confidence,
            max_results=max_results,
            labels=label,
            output_prefix=output_prefix,
            formats=[_format_value(written) for written in result_format or ()],
        )
        _set_source(wanted, source)
        job = client.batch_predictions.begin(project, wanted)
        if detach:
            output.result(fields_of(job), f"queued: {job.name}")
            return
        job = succeeded(_follow(client, job, output))
    output.result(fields_of(job), *_summary(job))


@batch_app.command("watch")
def watch_command(project: ProjectArgument, job: JobArgument, as_json: JsonOption = False) -> None:
    """Follow a job to its end."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        found = client.batch_predictions.get(_name_of(project, job))
        ended = succeeded(_follow(client, found, output))
    output.result(fields_of(ended), *_summary(ended))


@batch_app.command("list")
def list_command(project: ProjectArgument, as_json: JsonOption = False) -> None:
    """List the jobs of a project, newest first."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        jobs = list(client.batch_predictions.list(project))
    output.result({"batch_prediction_jobs": list_of(jobs)}, _table(jobs) if jobs else "no jobs yet")


@batch_app.command("cancel")
def cancel_command(project: ProjectArgument, job: JobArgument, as_json: JsonOption = False) -> None:
    """Stop a job; nothing stays of it."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        cancelled = client.batch_predictions.cancel(_name_of(project, job))
    output.result(fields_of(cancelled), f"{cancelled.name} is {_state(cancelled)}")


@batch_app.command("results")
def results_command(
    project: ProjectArgument,
    job: JobArgument,
    to: Annotated[Path | None, typer.Option(help="A folder to download the files to.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show where the results of a job are, or download them."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        found = succeeded(client.batch_predictions.get(_name_of(project, job)))
        if to is not None:
            _download(client, found, to, output)
    output.result(fields_of(found), *_summary(found))


def _format_value(written: ResultFormat) -> BatchPredictionJob.Format.ValueType:
    return BatchPredictionJob.Format.Value(f"FORMAT_{written.name}")


def _set_source(job: BatchPredictionJob, source: str) -> None:
    """Says what a job is to look at.

    Raises:
        OSError: if it is a file of this machine that cannot be read.
    """
    if source.startswith("projects/"):
        setattr(job, "snapshot" if "/snapshots/" in source else "dataset", source)
    elif "://" not in source:
        urls = [line.strip() for line in Path(source).read_text().splitlines()]
        job.image_urls.CopyFrom(ImageUrls(urls=[url for url in urls if url]))
    elif source.lower().endswith(_MANIFESTS):
        job.manifest_url = source
    else:
        job.url = source


def _name_of(project: str, job: str) -> str:
    return own_name(BatchPredictionJobName, project, job, "job")


def _follow(client: Client, job: BatchPredictionJob, output: Output) -> BatchPredictionJob:
    """Shows a job's progress until it ends; it goes on if the user stops looking."""
    try:
        with output.progress() as progress:
            task = progress.add_task("waiting", total=None, note="")
            for change in client.batch_predictions.watch(job.name):
                job = change
                told = job.progress
                progress.update(
                    task,
                    description=_PHASES.get(told.phase, "waiting"),
                    completed=told.answered_count + told.failed_count,
                    total=told.image_count or None,
                    note=_note(told),
                )
    except KeyboardInterrupt:
        name = BatchPredictionJobName.parse(job.name)
        stop = f"sightsmith batch cancel {name.project} {name.batch_prediction_job}"
        output.console.print(f"\nThe job goes on. To stop it: {stop}")
        raise typer.Exit(130) from None
    return job


def _note(told: BatchPredictionProgress) -> str:
    failed = f", {told.failed_count:,} failed" if told.failed_count else ""
    return f"{told.images_per_second:.0f} images/s{failed}" if told.images_per_second else ""


def _download(client: Client, job: BatchPredictionJob, folder: Path, output: Output) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with output.progress() as progress:
        for result in job.results:
            task = progress.add_task(result.file_name, total=result.size_bytes, note="")
            target = folder / result.file_name
            client.batch_predictions.download(job.name, result, target, partial(progress.advance, task))
            output.console.print(f"written: {target}")


def _summary(job: BatchPredictionJob) -> Iterable[str]:
    told, cost = job.progress, job.cost
    if job.state == BatchPredictionJob.STATE_SUCCEEDED:
        yield (
            f"[bold]{told.answered_count:,}[/] images answered, {told.failed_count:,} failed, "
            f"{told.skipped_count:,} files skipped; {told.images_per_second:.1f} images/s"
        )
    yield (
        f"cost: {cost.image_count:,} images, {_seconds(cost.worker_time.ToMilliseconds())} of workers, "
        f"{_seconds(cost.model_time.ToMilliseconds())} of the model"
    )
    yield from (f"{escape(result.url)}  SHA-256 {result.sha256}" for result in job.results)


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:,.1f} s"


def _table(jobs: Sequence[BatchPredictionJob]) -> Table:
    table = Table()
    for heading in ("job", "state", "images", "answered", "failed", "images/s", "begun"):
        table.add_column(heading, overflow="fold")
    for job in jobs:
        told = job.progress
        counts = (told.image_count, told.answered_count, told.failed_count)
        begun = job.create_time.ToDatetime().isoformat(" ", "seconds")
        name = job.name.rpartition("/")[2]
        table.add_row(name, _state(job), *map(str, counts), f"{told.images_per_second:.1f}", begun)
    return table


def _state(job: BatchPredictionJob) -> str:
    return BatchPredictionJob.State.Name(job.state).removeprefix("STATE_").lower()
