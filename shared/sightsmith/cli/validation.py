"""`sightsmith validate` and `sightsmith split`: looking at data before a training, and setting test images aside."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToDict
from rich.markup import escape
from rich.table import Table

from sightsmith.api.labeling.v1 import job_pb2
from sightsmith.api.labeling.v1.job_pb2 import JobFinding
from sightsmith.api.labeling.v1.split_service_pb2 import DistributeImagesResponse
from sightsmith.api.labeling.v1.validation_job_pb2 import ValidationJob, ValidationResult
from sightsmith.api.labeling.v1.validation_service_pb2 import DownloadValidationFileRequest as _Download
from sightsmith.cli.import_jobs import shown_progress
from sightsmith.cli.output import MOST, JsonOption, Output, fields_of, list_of
from sightsmith.client import Client
from sightsmith.errors import SightsmithError
from sightsmith.names import ProjectName
from sightsmith.rpc.status import from_status

_EXAMPLES = 3
_COLOURS = {
    JobFinding.SEVERITY_TERMINAL: "bold red",
    JobFinding.SEVERITY_ERROR: "red",
    JobFinding.SEVERITY_WARNING: "yellow",
}
_FILES = {
    "summary.json": _Download.FILE_SUMMARY,
    "training.manifest": _Download.FILE_TRAINING_MANIFEST,
    "testing.manifest": _Download.FILE_TESTING_MANIFEST,
}
_ADVICE = {
    "ERROR_MANIFEST_TOO_FEW_LABELS": "Label images with two labels or more, or draw boxes.",
    "ERROR_TOO_MANY_INVALID_ROWS_IN_MANIFEST": "Mend or delete the images with errors.",
    "ERROR_INSUFFICIENT_LABEL_OVERLAP": "Give the test dataset images of the labels that it lacks.",
    "ERROR_INSUFFICIENT_IMAGES_PER_LABEL_FOR_AUTOSPLIT": "Label at least two images of each label.",
    "WARNING_DUPLICATE_ACROSS_SPLITS": "Delete the test images that a model learns from: they make it look better.",
    "WARNING_NEAR_DUPLICATE_ACROSS_SPLITS": "Move near-duplicates to one side: `sightsmith split` keeps them together.",
    "WARNING_SIMILAR_LABELS": "Merge labels that mean the same.",
    "WARNING_SUSPECT_LABEL": "Look at the likely wrong labels first: they cost a model most.",
    "WARNING_LABEL_IMBALANCE": "Add images of the rare labels.",
    "WARNING_FEW_IMAGES_OF_LABEL": "Ten images of each label are a good beginning.",
}


def validate_command(
    project: Annotated[str, typer.Argument(help="Id of the project.")],
    train_manifest: Annotated[
        Path | None, typer.Option(help="A manifest to judge instead; it is not imported.")
    ] = None,
    test_manifest: Annotated[Path | None, typer.Option(help="The manifest of its test images.")] = None,
    custom_labels: Annotated[
        bool, typer.Option("--custom-labels", help="Judge by the limits of Amazon Rekognition Custom Labels.")
    ] = False,
    files: Annotated[Path | None, typer.Option(help="Folder for the summary and the manifests with errors.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what is wrong with the data or left out, and what may spoil the model. Nothing is changed."""
    output = Output(as_json)
    if test_manifest is not None and train_manifest is None:
        raise typer.BadParameter("--test-manifest needs --train-manifest")
    with output.failing_clearly(), Client.connect() as client:
        parent = str(ProjectName(project))
        wanted = ValidationJob(
            train_manifest=_uploaded(client, parent, train_manifest),
            test_manifest=_uploaded(client, parent, test_manifest),
            rule_set=ValidationJob.RULE_SET_CUSTOM_LABELS if custom_labels else ValidationJob.RULE_SET_SIGHTSMITH,
        )
        job = _follow(client, client.validation.begin(parent, wanted), output)
        if files is not None:
            _save(client, job, files)
        # Only as many of each code as are shown, unless a program wants them all.
        limit = None if as_json else _EXAMPLES
        findings = {
            found.code: list(islice(client.validation.findings(job.name, found.severity, found.code), limit))
            for found in job.result.code_counts
        }
    every = [finding for some in findings.values() for finding in some]
    output.result({**fields_of(job), "findings": list_of(every)}, *validation_report(job.result, findings))
    if not job.result.trainable:
        raise typer.Exit(1)


def split_command(
    project: Annotated[str, typer.Argument(help="Id of the project.")],
    fraction: Annotated[float, typer.Option(help="Share of each label's images, above 0 and at most 0.5.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Decides which images.", min=0, max=MOST)] = 0,
    allow_untested: Annotated[
        bool, typer.Option("--allow-untested", help="Also if a label has too few images for both sides.")
    ] = False,
    preview: Annotated[bool, typer.Option("--preview", help="Tell what would be, and move nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Move labelled images to the dataset for testing, label by label; images that look the same stay together."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        done = client.validation.distribute(
            str(ProjectName(project)), fraction, seed, allow_untested_labels=allow_untested, validate_only=preview
        )
    told = "would move" if preview else "moved"
    summary = (
        f"[bold]{done.moved_image_count}[/] images {told}: "
        f"{done.train_image_count} to learn from, {done.test_image_count} to be judged by"
    )
    value = MessageToDict(done, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    output.result(value, _label_table(done), summary)


def _uploaded(client: Client, project: str, path: Path | None) -> ValidationJob.Manifest | None:
    if path is None:
        return None
    return ValidationJob.Manifest(uploaded_file=client.transfers.upload(project, path).name)


def _follow(client: Client, job: ValidationJob, output: Output) -> ValidationJob:
    """Shows a job's progress until it ends; the job is stopped if the user stops looking."""
    try:
        with output.progress() as progress:
            task = progress.add_task("validating", total=None, note="")
            for change in client.validation.watch(job.name):
                job = change
                progress.update(task, **shown_progress(job.progress))
    except KeyboardInterrupt:
        client.validation.cancel(job.name)
        raise typer.Exit(130) from None
    if job.HasField("error"):
        raise from_status(job.error)
    if job.state == job_pb2.JOB_STATE_CANCELLED:
        raise SightsmithError(f"{job.name} was cancelled", reason="WRONG_STATE")
    return job


def _save(client: Client, job: ValidationJob, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in _FILES.items():
        if name != "testing.manifest" or job.result.HasField("test"):
            with (folder / name).open("wb") as target:
                target.writelines(client.validation.file(job.name, file))


def validation_report(result: ValidationResult, findings: dict[str, list[JobFinding]]) -> Iterator[Table | str]:
    """What there is to tell of a validation, with examples of findings by their codes."""
    yield _line_table(result)
    if result.code_counts:
        yield _code_table(result, findings)
    for found in result.code_counts:
        if found.code in _ADVICE:
            yield f"[cyan]→[/] {_ADVICE[found.code]}"
    if result.trainable:
        if result.code_counts:
            yield "[bold yellow]A training can begin, but look first at what was found.[/]"
        else:
            yield "[bold green]The data are sound.[/]"
        if result.use_case == ValidationResult.USE_CASE_OBJECT_LOCALIZATION:
            yield "[yellow]But trainings learn from labels of whole images only, as yet: boxes are left out.[/]"
    else:
        yield "[bold red]The data are not fit for a training.[/]"


def _line_table(result: ValidationResult) -> Table:
    table = Table("", "images", "valid", "invalid", "ignored")
    for name, lines in (("to learn from", result.train), ("to be judged by", result.test)):
        if lines.total_count or lines is result.train:
            counts = (lines.total_count, lines.valid_count, lines.invalid_count, lines.ignored_count)
            table.add_row(name, *map(str, counts))
    return table


def _code_table(result: ValidationResult, findings: dict[str, list[JobFinding]]) -> Table:
    table = Table("found", "times", "such as")
    for found in result.code_counts:
        examples = "\n".join(_example(finding) for finding in findings.get(found.code, [])[:_EXAMPLES])
        table.add_row(f"[{_COLOURS.get(found.severity, 'white')}]{found.code}[/]", str(found.count), examples)
    return table


def _example(finding: JobFinding) -> str:
    where = finding.resource.partition("/datasets/")[2] or (f"line {finding.line}" if finding.line else "")
    return escape(f"{where}: {finding.message}" if where else finding.message)


def _label_table(done: DistributeImagesResponse) -> Table:
    table = Table("label", "to learn from", "to be judged by", "boxes")
    for label in done.labels:
        boxes = (
            f"{label.train_box_count} + {label.test_box_count}" if label.train_box_count + label.test_box_count else ""
        )
        table.add_row(escape(label.label), str(label.train_image_count), str(label.test_image_count), boxes)
    return table
