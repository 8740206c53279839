"""`sightsmith jobs`: how far trainings are, and watching what goes on."""

from collections.abc import Callable, Mapping
from typing import Annotated

import typer

from sightsmith.cli.import_jobs import finish_import
from sightsmith.cli.judging import finish_evaluation
from sightsmith.cli.listing_group import ListingGroup
from sightsmith.cli.output import JsonOption, Output, list_of
from sightsmith.cli.own_names import own_job
from sightsmith.cli.training import ProjectArgument, finish_training
from sightsmith.cli.training_progress import jobs_table
from sightsmith.client import Client
from sightsmith.errors import InvalidArgumentError
from sightsmith.names import ProjectName

jobs_app = typer.Typer(
    cls=ListingGroup,
    help="List the trainings of a project with how far they are, and watch one again.",
    no_args_is_help=True,
)


@jobs_app.command("list")
def list_command(project: ProjectArgument, as_json: JsonOption = False) -> None:
    """List the trainings of a project, newest first, with how far they are."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        name = client.project(project).name
        jobs = list(client.training_jobs(ProjectName.parse(name).project))
    output.result({"training_jobs": list_of(jobs)}, jobs_table(name, jobs) if jobs else "no trainings yet")


@jobs_app.command("watch")
def watch_command(
    project: ProjectArgument,
    job: Annotated[
        str, typer.Argument(help="Id of a training; or evaluationJobs/ID or importJobs/ID, of an evaluation or import.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Watch a job up to its end, as the command does that began it. Ctrl-C leaves it running."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        name = own_job(project, job)
        _way_to_watch(name)(client, name, output)


def _way_to_watch(name: str) -> Callable[[Client, str, Output], None]:
    kind = name.split("/")[2]
    if kind not in _WAYS:
        raise InvalidArgumentError.of_field("job", f"must be of the kind {', '.join(_WAYS)}, not {kind[:80]!r}")
    return _WAYS[kind]


def _watch_training(client: Client, name: str, output: Output) -> None:
    finish_training(client, client.training_job(name), output)


def _watch_evaluation(client: Client, name: str, output: Output) -> None:
    finish_evaluation(client, client.evaluation_jobs.get(name), output)


def _watch_import(client: Client, name: str, output: Output) -> None:
    finish_import(client, client.transfers.import_job(name), output)


_WAYS: Mapping[str, Callable[[Client, str, Output], None]] = {
    "trainingJobs": _watch_training,
    "evaluationJobs": _watch_evaluation,
    "importJobs": _watch_import,
}
