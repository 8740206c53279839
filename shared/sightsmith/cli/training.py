"""`sightsmith train`, `jobs`, `cancel` and `evaluate`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import Progress, TaskID
from rich.table import Table

from sightsmith.api.training.v1 import evaluation_pb2, model_pb2, training_service_pb2
from sightsmith.api.training.v1.training_job_pb2 import TrainingJob, TrainingProgress
from sightsmith.cli.output import JsonOption, Output, fields_of, list_of
from sightsmith.cli.own_names import own_name
from sightsmith.cli.training_wishes import (
    BudgetOption,
    EffortOption,
    LeaveOutRareLabelsOption,
    MaxVariantLossOption,
    OutputPrefixOption,
    PreferOption,
    Preferred,
    TaskOption,
    VariantsOption,
    WishedEffort,
    WishedTask,
    WishedVariants,
    wishes,
)
from sightsmith.client import Client
from sightsmith.client.calls import calling
from sightsmith.demo.contact_sheet import Tile, write_contact_sheet
from sightsmith.errors import FailedPreconditionError
from sightsmith.names import ModelName, TrainingJobName

LATEST = "latest"
ProjectArgument = Annotated[str, typer.Argument(help="Id of the project.")]
_PHASES = {
    TrainingProgress.PHASE_READING: "reading images",
    TrainingProgress.PHASE_EMBEDDING: "computing features",
    TrainingProgress.PHASE_SEARCHING: "comparing candidates",
    TrainingProgress.PHASE_FITTING: "fitting the best",
    TrainingProgress.PHASE_EVALUATING: "evaluating",
    TrainingProgress.PHASE_EXPORTING: "exporting",
    TrainingProgress.PHASE_CHECKING: "checking the exports",
    TrainingProgress.PHASE_PUBLISHING: "publishing",
}


def train_command(
    project: ProjectArgument,
    seed: Annotated[int, typer.Option(help="Decides everything random.")] = 0,
    test_fraction: Annotated[
        float, typer.Option(help="Share of the images to test with, where the project has no test images.")
    ] = 0.2,
    task: TaskOption = WishedTask.AUTO,
    effort: EffortOption = WishedEffort.BALANCED,
    budget: BudgetOption = None,
    prefer: PreferOption = Preferred.BALANCED,
    variants: VariantsOption = WishedVariants.AUTO,
    max_variant_loss: MaxVariantLossOption = None,
    output_prefix: OutputPrefixOption = "",
    leave_out_rare_labels: LeaveOutRareLabelsOption = False,
    with_unlabelled: Annotated[
        bool, typer.Option("--with-unlabelled", help="Take images without labels as ones on which nothing is.")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Queue the training and return.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take a snapshot of a project and train a model from it."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        snapshot = client.snapshots.take(project, test_fraction, seed, with_unlabelled)
        wished = wishes(task, effort, budget, prefer, variants, max_variant_loss, output_prefix, leave_out_rare_labels)
        job = client.train(project, snapshot.name, seed, wished)
        if detach:
            output.result(fields_of(job), f"queued: {job.name}")
            return
        try:
            job = follow_training(client, job, output)
        except KeyboardInterrupt:
            name = TrainingJobName.parse(job.name)
            output.console.print(
                f"\nThe training goes on. To stop it: sightsmith cancel {name.project} {name.training_job}"
            )
            raise typer.Exit(130) from None
        model = client.model(job.model)
    output.result({"training_job": fields_of(job), "model": fields_of(model)}, models_table([model]))


def cancel_command(
    project: ProjectArgument,
    job: Annotated[str, typer.Argument(help="Id of the training job.")],
    as_json: JsonOption = False,
) -> None:
    """Stop a training."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        request = training_service_pb2.CancelTrainingJobRequest(name=own_name(TrainingJobName, project, job, "job"))
        with calling():
            cancelled = client.training.CancelTrainingJob(request)
    state = TrainingJob.State.Name(cancelled.state).removeprefix("STATE_").lower()
    output.result(fields_of(cancelled), f"{cancelled.name} is {state}")


def jobs_command(project: ProjectArgument, as_json: JsonOption = False) -> None:
    """List the trainings of a project, newest first, with how far they are."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        jobs = list(client.training_jobs(short_id(client.project(project).name)))
    output.result({"training_jobs": list_of(jobs)}, _jobs_table(jobs) if jobs else "no trainings yet")


def evaluate_command(
    project: ProjectArgument,
    model: Annotated[str, typer.Argument(help="Id of the model, such as v1.")] = LATEST,
    contact_sheet: Annotated[
        Path | None, typer.Option(help="Write a picture of all test images with what the model said.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show how good a model is, label by label, and its most confident mistakes."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        name = model_name(client, project, model)
        evaluation = client.evaluation(name)
        images = list(client.evaluated_images(name))
        if contact_sheet is not None:
            write_contact_sheet(contact_sheet, [_tile(client, image) for image in images], name)
            output.console.print(f"written: {contact_sheet}")
    mistakes = [image for image in images if image.true_label != image.predicted_label]
    output.result(
        {"evaluation": fields_of(evaluation), "evaluated_images": list_of(images)},
        metrics_table(name, evaluation),
        *([_mistakes_table(mistakes)] if mistakes else ["no mistakes"]),
    )


def model_name(client: Client, project: str, model: str) -> str:
    """The full name of a model, given by id or as `latest`.

    Raises:
        FailedPreconditionError: if the project has no models.
        InvalidArgumentError: if it is of another project, or no name at all.
    """
    if model != LATEST:
        return own_name(ModelName, project, model, "model")
    newest = next(client.list_models(project), None)
    if newest is None:
        raise FailedPreconditionError(
            f"{client.project(project).name} has no models yet: run 'sightsmith train {project}'"
        )
    return newest.name


def short_id(name: str) -> str:
    """The last part of a name: what is printed in full may be given in full."""
    return name.rpartition("/")[2]


def follow_training(client: Client, job: TrainingJob, output: Output) -> TrainingJob:
    """Shows a training's progress up to its end.

    Raises:
        SightsmithError: the training's own error, if it failed or was cancelled.
    """
    with output.progress() as progress:
        task = progress.add_task("waiting for a worker", total=100, note="")
        for change in client.watch(job.name):
            _show(progress, task, change)
            job = change
    if job.report_files:
        name = TrainingJobName.parse(job.name)
        told = f"sightsmith models report {name.project} --training {name.training_job}"
        output.console.print(f"What is wrong with which image: {told}")
    return client.succeeded(job)


def metrics_table(title: str, evaluation: evaluation_pb2.Evaluation) -> Table:
    """A row a label, and one for their averages."""
    basis = "test" if evaluation.basis == evaluation_pb2.Evaluation.BASIS_TEST else "cross-validated"
    summary = evaluation.summary
    table = Table(title=f"{title}: {summary.accuracy:.1%} of {evaluation.image_count} {basis} images right")
    table.add_column("label", overflow="fold")
    for heading in ("precision", "recall", "F1", "images"):
        table.add_column(heading, justify="right")
    for metrics in evaluation.label_metrics:
        figures = (f"{metrics.precision:.3f}", f"{metrics.recall:.3f}", f"{metrics.f1:.3f}")
        table.add_row(escape(metrics.label), *figures, str(metrics.image_count))
    table.add_section()
    figures = (f"{summary.macro_precision:.3f}", f"{summary.macro_recall:.3f}", f"{summary.macro_f1:.3f}")
    table.add_row("all labels (macro)", *figures, str(evaluation.image_count), style="bold")
    return table


def models_table(models: Sequence[model_pb2.Model]) -> Table:
    """A row a model, with how good it is in short."""
    table = Table()
    for heading in ("model", "accuracy", "macro F1", "labels", "snapshot", "seconds"):
        table.add_column(heading, overflow="fold")
    for model in models:
        table.add_row(
            model.name.rpartition("/")[2],
            f"{model.evaluation.accuracy:.3f}",
            f"{model.evaluation.macro_f1:.3f}",
            str(len(model.labels)),
            model.snapshot.rpartition("/")[2],
            f"{model.training_duration.ToTimedelta().total_seconds():.0f}",
        )
    return table


def _show(progress: Progress, task: TaskID, job: TrainingJob) -> None:
    if job.state == TrainingJob.STATE_QUEUED:
        progress.update(task, description="waiting for a worker")
    if not job.HasField("progress"):
        return
    now = job.progress
    score = f"best {now.best_score:.3f}" if now.HasField("best_score") else ""
    note = ", ".join(part for part in (now.activity, score) if part)
    percent = 100 if job.state == TrainingJob.STATE_SUCCEEDED else now.percent
    progress.update(task, description=_PHASES.get(now.phase, "training"), completed=percent, note=note)


def _jobs_table(jobs: list[TrainingJob]) -> Table:
    table = Table()
    for heading in ("training", "state", "done", "model", "error"):
        table.add_column(heading, overflow="fold")
    for job in jobs:
        state = TrainingJob.State.Name(job.state).removeprefix("STATE_").lower()
        percent = 100 if job.state == TrainingJob.STATE_SUCCEEDED else job.progress.percent
        table.add_row(short_id(job.name), state, f"{percent:.0f} %", short_id(job.model), escape(job.error.message))
    return table


def _mistakes_table(mistakes: list[evaluation_pb2.EvaluatedImage]) -> Table:
    table = Table(title="mistakes, the most confident first")
    for heading in ("image", "is", "taken for"):
        table.add_column(heading, overflow="fold")
    table.add_column("confidence", justify="right")
    for image in mistakes:
        names = (image.source or image.image, image.true_label, image.predicted_label)
        table.add_row(*map(escape, names), f"{image.confidence:.3f}")
    return table


def _tile(client: Client, image: evaluation_pb2.EvaluatedImage) -> Tile:
    return Tile(client.download(image.image), image.true_label, image.predicted_label, image.confidence)
