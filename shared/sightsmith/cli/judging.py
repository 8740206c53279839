"""`sightsmith models evaluate`, `evaluations`, `cancel-evaluation` and `delete-evaluation`."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from sightsmith.api.training.v1.evaluation_job_pb2 import EvaluationJob, EvaluationProgress
from sightsmith.api.training.v1.evaluation_pb2 import Evaluation
from sightsmith.cli.evaluation_tables import evaluation_tables
from sightsmith.cli.models import ModelArgument
from sightsmith.cli.output import JsonOption, Output, fields_of, list_of
from sightsmith.cli.own_names import own_evaluation, own_name, project_id
from sightsmith.cli.training import LATEST, ProjectArgument, model_name, short_id
from sightsmith.client import Client
from sightsmith.client.evaluation_jobs import succeeded
from sightsmith.errors import FailedPreconditionError
from sightsmith.names import DatasetName, EvaluationJobName, SnapshotName

OnOption = Annotated[
    str | None, typer.Option("--on", help="Id of the project whose images count; the model's own if left out.")
]
_PHASES = {
    EvaluationProgress.PHASE_EVALUATING: "answering images",
    EvaluationProgress.PHASE_PUBLISHING: "computing figures",
}


class Part(StrEnum):
    """Which part of a snapshot counts."""

    ALL = "all"
    TRAIN = "train"
    TEST = "test"


_SPLITS = {
    Part.ALL: EvaluationJob.SPLIT_UNSPECIFIED,
    Part.TRAIN: EvaluationJob.SPLIT_TRAIN,
    Part.TEST: EvaluationJob.SPLIT_TEST,
}


def evaluate_command(
    project: ProjectArgument,
    model: ModelArgument = LATEST,
    on: OnOption = None,
    snapshot: Annotated[
        int | None, typer.Option(min=1, help="Number of the snapshot; one is taken now if left out.")
    ] = None,
    split: Annotated[Part, typer.Option(help="Which part of the snapshot.")] = Part.ALL,
    dataset: Annotated[
        list[str] | None, typer.Option(help="Only images of this dataset, by id; may be repeated.")
    ] = None,
    with_unlabelled: Annotated[
        bool, typer.Option("--with-unlabelled", help="In a new snapshot: take images without labels, too.")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Queue the evaluation and return.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Judge a model by other images than those of its training; those that it learned from are left out."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        name, other = model_name(client, project, model), project_id(on, "--on") if on else project
        taken = str(SnapshotName(other, str(snapshot))) if snapshot else _take(client, other, with_unlabelled)
        datasets = [own_name(DatasetName, other, id_, "--dataset") for id_ in dataset or []]
        job = client.evaluation_jobs.begin(name, taken, _SPLITS[split], datasets)
        if detach:
            output.result(fields_of(job), f"queued: {job.name}")
            return
        finish_evaluation(client, job, output)


def finish_evaluation(client: Client, job: EvaluationJob, output: Output) -> None:
    """Shows an evaluation's progress up to its end, and then what came of it; it goes on if the user stops looking."""
    try:
        job = _follow(client, job, output)
    except KeyboardInterrupt:
        output.console.print(f"\n{_how_to_go_on(job)}", soft_wrap=True)
        raise typer.Exit(130) from None
    evaluation = client.evaluations.get(job.evaluation)
    output.result(
        {"evaluation_job": fields_of(job), "evaluation": fields_of(evaluation)},
        *evaluation_tables(evaluation.name, evaluation),
    )


def evaluations_command(project: ProjectArgument, model: ModelArgument = LATEST, as_json: JsonOption = False) -> None:
    """List the evaluations of a model by other images than those of its training, newest first."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        found = list(client.evaluation_jobs.evaluations(model_name(client, project, model)))
    output.result({"evaluations": list_of(found)}, _table(found) if found else "no evaluations by other images yet")


def cancel_command(
    project: ProjectArgument,
    job: Annotated[str, typer.Argument(help="Id of the evaluation job.")],
    as_json: JsonOption = False,
) -> None:
    """Stop an evaluation."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        cancelled = client.evaluation_jobs.cancel(own_name(EvaluationJobName, project, job, "job"))
    state = EvaluationJob.State.Name(cancelled.state).removeprefix("STATE_").lower()
    output.result(fields_of(cancelled), f"{cancelled.name} is {state}")


def delete_command(
    project: ProjectArgument,
    model: ModelArgument,
    evaluation: Annotated[str, typer.Argument(help="Id of the evaluation.")],
    as_json: JsonOption = False,
) -> None:
    """Delete an evaluation of a model by other images; the model and its own evaluation stay."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        name = own_evaluation(model_name(client, project, model), evaluation)
        client.evaluation_jobs.delete_evaluation(name)
    output.result({"deleted": [name]}, f"deleted: {name}")


def newest_on(client: Client, model: str, snapshot: str) -> str:
    """The newest evaluation of a model by the images of a snapshot.

    Raises:
        FailedPreconditionError: if there is none.
    """
    for evaluation in client.evaluation_jobs.evaluations(model):
        if evaluation.snapshot == snapshot:
            return evaluation.name
    raise FailedPreconditionError(f"{model} was not judged by {snapshot}: run 'sightsmith models evaluate' first")


def _take(client: Client, project: str, with_unlabelled: bool) -> str:
    return client.snapshots.take(project, include_unlabelled=with_unlabelled, reuse_equal=True).name


def _follow(client: Client, job: EvaluationJob, output: Output) -> EvaluationJob:
    with output.progress() as progress:
        task = progress.add_task("waiting for a worker", total=100, note="")
        for change in client.evaluation_jobs.watch(job.name):
            job = change
            done = 100 if job.state == EvaluationJob.STATE_SUCCEEDED else job.progress.percent
            doing = _PHASES.get(job.progress.phase, "waiting for a worker")
            progress.update(task, description=doing, completed=done)
    return succeeded(job)


def _how_to_go_on(job: EvaluationJob) -> str:
    name = EvaluationJobName.parse(job.name)
    watch = f"sightsmith jobs watch {name.project} evaluationJobs/{name.evaluation_job}"
    stop = f"sightsmith models cancel-evaluation {name.project} {name.evaluation_job}"
    return f"The evaluation goes on. To watch it: {watch}. To stop it: {stop}"


def _table(evaluations: Sequence[Evaluation]) -> Table:
    table = Table()
    for heading in ("evaluation", "snapshot", "images", "accuracy", "macro F1", "mAP50", "made"):
        table.add_column(heading, overflow="fold")
    for evaluation in evaluations:
        summary = evaluation.summary
        table.add_row(
            short_id(evaluation.name),
            escape(evaluation.snapshot),
            str(evaluation.image_count),
            f"{summary.accuracy:.3f}",
            f"{summary.macro_f1:.3f}",
            f"{summary.map_50:.3f}" if summary.HasField("map_50") else "",
            f"{evaluation.create_time.ToDatetime():%Y-%m-%d %H:%M}",
        )
    return table
