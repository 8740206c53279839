"""Imports by a job of the server: sending the files, following the job, telling what became of every line."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from google.rpc import code_pb2
from rich.markup import escape
from rich.table import Table

from sightsmith.api.labeling.v1 import annotation_format_pb2 as formats
from sightsmith.api.labeling.v1 import job_pb2
from sightsmith.api.labeling.v1.dataset_pb2 import SPLIT_TEST, SPLIT_TRAIN
from sightsmith.api.labeling.v1.import_job_pb2 import ImportJob
from sightsmith.api.labeling.v1.job_pb2 import JobFinding, JobProgress
from sightsmith.cli.output import JsonOption, Output, fields_of, list_of
from sightsmith.client import Client
from sightsmith.client.packing import pack
from sightsmith.client.transfers import has_ended, require_success
from sightsmith.errors import InvalidArgumentError, SightsmithError
from sightsmith.names import ProjectName

_SHOWN = 20
_SPLITS = {"train": SPLIT_TRAIN, "test": SPLIT_TEST}
_NO_IMPORTS = "no imports yet; folders of images alone leave none: sightsmith history {} --action images.upload"
_PREFIX = "ANNOTATION_FORMAT_"
FORMAT_NAMES = tuple(
    name.removeprefix(_PREFIX).lower().replace("_", "-") for name in formats.AnnotationFormat.keys()[1:]
)


def format_of(name: str | None) -> formats.AnnotationFormat.ValueType:
    """The format of a name such as `label-studio`; unspecified if there is none.

    Raises:
        InvalidArgumentError: if there is no such format.
    """
    if name is None:
        return formats.ANNOTATION_FORMAT_UNSPECIFIED
    if name not in FORMAT_NAMES:
        raise InvalidArgumentError.of_field("--format", f"must be one of {', '.join(FORMAT_NAMES)}, not {name}")
    return formats.AnnotationFormat.Value(f"{_PREFIX}{name.upper().replace('-', '_')}")


def import_by_job(
    client: Client, project: str, source: str, images: Path | None, job: ImportJob, output: Output
) -> None:
    """Imports a file, a folder, a URL or a dataset, with a progress bar, and prints what became of it.

    Args:
        client: of the services.
        project: id of the project; made if it is not there.
        source: a path, a URL, or `projects/{project}/datasets/{dataset}`.
        images: a folder of images that belong to annotation files; None if there is none.
        job: how to import; its source is filled in here.
        output: where to print.
    """
    name = _ensure_target(client, project, job.dataset)
    if source.startswith("projects/"):
        job.source_dataset = source
    elif "://" in source:
        job.url = source
    else:
        with _one_file(Path(source), images, output) as path:
            job.uploaded_file = _upload(client, name, path, output)
    finish_import(client, client.transfers.begin_import(name, job), output)


def finish_import(client: Client, job: ImportJob, output: Output) -> None:
    """Shows an import's progress up to its end, and then what became of it; it goes on if the user stops looking."""
    ended = _follow(client, job, output)
    findings = list(islice(client.transfers.import_findings(ended.name), _SHOWN + 1))
    output.result(fields_of(ended), *_summary(ended, findings))
    # Says why it failed, if it did.
    require_success(ended)


def imports_command(
    project: Annotated[str, typer.Argument(help="Id of the project.")],
    job: Annotated[str | None, typer.Argument(help="Id of an import; all are listed if left out.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write every finding of the import here, as JSON Lines.")] = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="Stop the import.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the imports of a project, or show, save or stop one.

    A folder of images alone is uploaded without such a job: 'sightsmith history PROJECT --action images.upload'.
    """
    output = Output(as_json)
    if job is None and (cancel or report is not None):
        raise typer.BadParameter("--cancel and --report need the id of an import")
    with output.failing_clearly(), Client.connect() as client:
        parent = str(ProjectName(project))
        if job is None:
            jobs = list(client.transfers.import_jobs(parent))
            output.result({"import_jobs": list_of(jobs)}, _table_of(jobs) if jobs else _NO_IMPORTS.format(project))
            return
        name = f"{parent}/importJobs/{job}"
        found = client.transfers.cancel_import(name) if cancel else client.transfers.import_job(name)
        if report is not None:
            with report.open("wb") as file:
                file.writelines(client.transfers.import_report(name))
        findings = list(islice(client.transfers.import_findings(name), _SHOWN + 1))
        output.result({**fields_of(found), "findings": list_of(findings)}, *_summary(found, findings), *_ending(found))


def _ensure_target(client: Client, project: str, dataset: str) -> str:
    """Makes sure that a project and the dataset to import to are there before anything is sent.

    Args:
        client: of the services.
        project: id of the project; made if it is not there.
        dataset: full name of the dataset, of which those named `train` and `test` are made; empty for none.

    Returns:
        The full name of the project.

    Raises:
        SightsmithError: if another dataset is not there; names those that are.
    """
    split = _SPLITS.get(dataset.rpartition("/")[2])
    if dataset and split is None:
        _require_dataset(client, project, dataset)
    name = client.ensure_project(project).name
    if split is not None and dataset not in (found.name for found in client.datasets(project)):
        client.images.create_dataset(name, dataset.rpartition("/")[2], split)
    return name


def _require_dataset(client: Client, project: str, dataset: str) -> None:
    try:
        client.images.dataset(dataset)
    except SightsmithError as error:
        if error.code == code_pb2.NOT_FOUND:
            there: list[str] = []
            # That the project is not there either, or cannot be asked, is no reason to tell less.
            with suppress(SightsmithError):
                there += (found.name.rpartition("/")[2] for found in client.datasets(project))
            error.message += (
                f": there is {' and '.join(there) or 'none yet'}; an import makes 'train' and 'test' itself"
            )
        raise


@contextmanager
def _one_file(source: Path, images: Path | None, output: Output) -> Iterator[Path]:
    """The file to send: the source itself, or an archive of it and its images, which is gone afterwards."""
    if source.is_file() and images is None:
        yield source
        return
    if not source.exists():
        raise FileNotFoundError(f"{source} does not exist")
    with tempfile.TemporaryDirectory(prefix="sightsmith-import-") as folder:
        archive = Path(folder) / f"{source.stem or 'import'}.zip"
        with output.console.status("packing"):
            pack(source, images, archive)
        yield archive


def _upload(client: Client, project: str, path: Path, output: Output) -> str:
    with output.progress() as progress:
        task = progress.add_task("uploading", total=path.stat().st_size, note="")
        return client.transfers.upload(project, path, lambda count: progress.advance(task, count)).name


def _follow(client: Client, job: ImportJob, output: Output) -> ImportJob:
    try:
        with output.progress() as progress:
            task = progress.add_task("importing", total=None, note="")
            for change in client.transfers.watch_import(job.name):
                job = change
                progress.update(task, **shown_progress(job.progress), note=_note(job))
    except KeyboardInterrupt:
        *_, project, _, job_id = job.name.split("/")
        watch, stop = f"jobs watch {project} importJobs/{job_id}", f"imports {project} {job_id} --cancel"
        told = f"The import goes on. To watch it: sightsmith {watch}. To stop it: sightsmith {stop}"
        output.console.print(f"\n{told}", soft_wrap=True)
        raise typer.Exit(130) from None
    return job


def shown_progress(progress: JobProgress) -> dict[str, Any]:
    """How a progress bar shows how far a job is."""
    total = progress.total_count or None
    return {"description": progress.phase or "waiting", "completed": progress.done_count, "total": total}


def _note(job: ImportJob) -> str:
    return f"{job.progress.done_count:,} done" if job.progress.done_count and not job.progress.total_count else ""


def _summary(job: ImportJob, findings: Sequence[JobFinding]) -> Iterable[Table | str]:
    result = job.result
    if job.HasField("result"):
        yield (
            f"[bold]{result.created_count}[/] imported, {result.updated_count} changed, {result.unchanged_count} as "
            f"they were, {result.rejected_count} of {result.read_count} rejected; "
            f"{result.problem_count} without some of their annotations"
        )
    if findings:
        table = Table(title="findings", title_justify="left")
        for heading in ("where", "code", "message"):
            table.add_column(heading, overflow="fold")
        for finding in findings[:_SHOWN]:
            table.add_row(escape(_place(finding)), finding.code, escape(finding.message))
        yield table
    if len(findings) > _SHOWN:
        *_, project, _, job_id = job.name.split("/")
        yield f"… and more: sightsmith imports {project} {job_id} --report report.jsonl"


def _ending(job: ImportJob) -> Iterable[str]:
    if not has_ended(job):
        yield f"{job.name} is {_state(job)}"
    elif job.HasField("error"):
        yield f"[bold red]it failed:[/] {escape(job.error.message)}"


def _place(finding: JobFinding) -> str:
    if finding.path.startswith(f"{finding.file}, line "):  # An image of several lines has its faults in some of them.
        return finding.path
    place = f"{finding.file}:{finding.line}" if finding.line else finding.file
    return " ".join(part for part in (place, finding.path) if part)


def _table_of(jobs: Iterable[ImportJob]) -> Table:
    table = Table()
    for heading in ("import", "state", "read", "created", "changed", "rejected", "begun"):
        table.add_column(heading, overflow="fold")
    for job in jobs:
        counts = job.result
        numbers = (counts.read_count, counts.created_count, counts.updated_count, counts.rejected_count)
        begun = job.create_time.ToDatetime().isoformat(" ", "seconds")
        table.add_row(job.name.rpartition("/")[2], _state(job), *map(str, numbers), begun)
    return table


def _state(job: ImportJob) -> str:
    return job_pb2.JobState.Name(job.state).removeprefix("JOB_STATE_").lower()
