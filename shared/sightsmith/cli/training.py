"""`sightsmith train` and `cancel`."""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from sightsmith.api.training.v1 import model_pb2
from sightsmith.api.training.v1.training_job_pb2 import TrainingJob
from sightsmith.cli.output import JsonOption, Output, SeedOption, fields_of
from sightsmith.cli.own_names import own_name
from sightsmith.cli.training_progress import follow_training, how_to_go_on, state_of
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
from sightsmith.errors import FailedPreconditionError
from sightsmith.names import ModelName, TrainingJobName

LATEST = "latest"
ProjectArgument = Annotated[str, typer.Argument(help="Id of the project.")]


def train_command(
    project: ProjectArgument,
    seed: SeedOption = 0,
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
    """Take a snapshot of a project, unless one says the same, and train a model from it."""
    output = Output(as_json)
    wished = wishes(task, effort, budget, prefer, variants, max_variant_loss, output_prefix, leave_out_rare_labels)
    with output.failing_clearly(), Client.connect() as client:
        snapshot = client.snapshots.take(project, test_fraction, seed, with_unlabelled, reuse_equal=True)
        job = client.train(project, snapshot.name, seed, wished)
        if detach:
            output.result(fields_of(job), f"queued: {job.name}", how_to_go_on(job))
            return
        finish_training(client, job, output)


def finish_training(client: Client, job: TrainingJob, output: Output) -> None:
    """Shows a training's progress up to its end, and then its model; it goes on if the user stops looking."""
    try:
        job = follow_training(client, job, output)
    except KeyboardInterrupt:
        output.console.print(f"\n{how_to_go_on(job)}", soft_wrap=True)
        raise typer.Exit(130) from None
    for note in job.notes:
        output.console.print(escape(note))
    if job.left_out_labels:
        output.console.print(escape(f"left out, with too few images: {', '.join(job.left_out_labels)}"))
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
        cancelled = client.trainings.cancel(own_name(TrainingJobName, project, job, "job"))
    if cancelled.state in (TrainingJob.STATE_SUCCEEDED, TrainingJob.STATE_FAILED):
        output.error(f"there is nothing to stop: {cancelled.name} is over, it {state_of(cancelled)}")
        raise typer.Exit(1)
    output.result(fields_of(cancelled), f"{cancelled.name} is {state_of(cancelled)}")


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
