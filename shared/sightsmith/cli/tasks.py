"""`sightsmith tasks`: the imports, exports, validations and suggestions of a project, in one list."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

import typer
from rich.table import Table

from sightsmith.api.labeling.v1 import job_pb2
from sightsmith.cli.datasets import ProjectArgument
from sightsmith.cli.output import JsonOption, Output, fields_of, list_of
from sightsmith.client import Client
from sightsmith.errors import InvalidArgumentError
from sightsmith.names import ProjectName


def tasks_command(
    project: ProjectArgument,
    cancel: Annotated[str, typer.Option(help="Stop this one: KIND/ID, as the list shows it.")] = "",
    as_json: JsonOption = False,
) -> None:
    """List the imports, exports, validations and suggestions of a project, or stop one."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        if cancel:
            stopped = _cancel_of(client, cancel)(f"{ProjectName(project)}/{cancel}")
            output.result(fields_of(stopped), f"{cancel}: {_state(stopped)}")
            return
        tasks = sorted(_tasks(client, project), key=lambda task: task.create_time.ToNanoseconds(), reverse=True)
    output.result({"tasks": list_of(tasks)}, _table(tasks) if tasks else "no tasks yet")


def _tasks(client: Client, project: str) -> Iterable[Any]:
    parent = str(ProjectName(project))
    yield from client.transfers.import_jobs(parent)
    yield from client.transfers.export_jobs(parent)
    yield from client.validation.list(parent)
    yield from client.suggestions.jobs(project)


def _cancel_of(client: Client, task: str) -> Callable[[str], Any]:
    ways: Mapping[str, Callable[[str], Any]] = {
        "importJobs": client.transfers.cancel_import,
        "exportJobs": client.transfers.cancel_export,
        "validationJobs": client.validation.cancel,
        "suggestionJobs": client.suggestions.cancel,
    }
    kind, _, _ = task.partition("/")
    if kind not in ways:
        rule = f"must be KIND/ID with KIND one of {', '.join(ways)}, not {task}"
        raise InvalidArgumentError.of_field("--cancel", rule)
    return ways[kind]


def _table(tasks: Iterable[Any]) -> Table:
    table = Table("task", "begun", "state", "doing", "done")
    for task in tasks:
        progress = task.progress
        total = f" of {progress.total_count}" if progress.total_count else ""
        begun = task.create_time.ToDatetime().isoformat(" ", "seconds")
        name = "/".join(task.name.split("/")[-2:])
        table.add_row(name, begun, _state(task), progress.phase, f"{progress.done_count}{total}")
    return table


def _state(task: Any) -> str:
    return job_pb2.JobState.Name(task.state).removeprefix("JOB_STATE_").lower()
