"""`sightsmith models`."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from sightsmith.api.training.v1.model_pb2 import Artifact, Model
from sightsmith.cli.lazy_commands import Lazy, add_commands
from sightsmith.cli.listing_group import ListingGroup
from sightsmith.cli.output import JsonOption, Output, fields_of, list_of
from sightsmith.cli.training import LATEST, ProjectArgument, model_name, models_table, short_id
from sightsmith.cli.variant_tables import format_name, variant_tables
from sightsmith.client import Client
from sightsmith.client.model_folder import export_model, no_file_of, onnx_file_of, recommended_for_cpu

models_app = typer.Typer(
    cls=ListingGroup,
    help="List, describe, tag, copy, download, export and delete the models of a project.",
    no_args_is_help=True,
)


class Order(StrEnum):
    """Which models come first."""

    NEWEST = "newest"
    OLDEST = "oldest"
    BEST = "best"


class Format(StrEnum):
    """What runs a file."""

    ONNX = "onnx"
    ONNX_INT8 = "onnx-int8"
    ONNX_FP16 = "onnx-fp16"
    TORCHSCRIPT = "torchscript"


class OnnxFormat(StrEnum):
    """Which of the ONNX files."""

    RECOMMENDED = "recommended"
    ONNX = "onnx"
    ONNX_INT8 = "onnx-int8"
    ONNX_FP16 = "onnx-fp16"


_ORDERS = {Order.NEWEST: "create_time desc", Order.OLDEST: "create_time", Order.BEST: "macro_f1 desc"}
ModelArgument = Annotated[str, typer.Argument(help="Id of the model, such as v1, or 'latest'.")]
TagsArgument = Annotated[list[str] | None, typer.Argument(help="NAME=VALUE, as many as you like.")]


@models_app.command("list")
def list_command(
    project: ProjectArgument,
    label: Annotated[list[str] | None, typer.Option(help="Only models that know this label; may be repeated.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="Only models with this tag, NAME=VALUE; may be repeated.")
    ] = None,
    order: Annotated[Order, typer.Option(help="Which come first.")] = Order.NEWEST,
    as_json: JsonOption = False,
) -> None:
    """List the models of a project."""
    output, tags = Output(as_json), _read_tags(tag or [])
    with output.failing_clearly(), Client.connect() as client:
        id_ = short_id(client.project(project).name)
        models = list(client.models.list(id_, label or [], tags, _ORDERS[order]))
    output.result({"models": list_of(models)}, models_table(models) if models else "no models yet")


@models_app.command("show")
def show_command(project: ProjectArgument, model: ModelArgument = LATEST, as_json: JsonOption = False) -> None:
    """Show what a model is and which files it has."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        found = client.model(model_name(client, project, model))
    output.result(fields_of(found), _details(found), _files(found), *variant_tables(found))


@models_app.command("describe")
def describe_command(
    project: ProjectArgument,
    model: ModelArgument,
    text: Annotated[str, typer.Argument(help="What people are to know of it.")],
    as_json: JsonOption = False,
) -> None:
    """Say what people are to know of a model."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        changed = client.models.describe(model_name(client, project, model), text)
    output.result(fields_of(changed), _details(changed))


@models_app.command("tag")
def tag_command(
    project: ProjectArgument,
    model: ModelArgument,
    tags: TagsArgument = None,
    remove: Annotated[list[str] | None, typer.Option(help="Take this tag away; may be repeated.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Add tags to a model, change them, or take them away."""
    output, added = Output(as_json), _read_tags(tags or [])
    with output.failing_clearly(), Client.connect() as client:
        found = client.model(model_name(client, project, model))
        kept = {name: value for name, value in found.tags.items() if name not in (remove or [])}
        # With the etag: tags that somebody else gives at the same time are not lost.
        changed = client.models.tag(found.name, {**kept, **added}, found.etag)
    output.result(fields_of(changed), _details(changed))


@models_app.command("copy")
def copy_command(
    project: ProjectArgument,
    model: ModelArgument,
    destination: Annotated[str, typer.Argument(help="Id of the project that gets the copy.")],
    as_json: JsonOption = False,
) -> None:
    """Copy a model to another project."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        copy = client.models.copy(model_name(client, project, model), destination)
    output.result(fields_of(copy), f"{copy.name} is a copy of {copy.copied_from}")


@models_app.command("delete")
def delete_command(
    project: ProjectArgument,
    model: Annotated[str, typer.Argument(help="Id of the model, such as v1.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking, as in scripts.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete a model that is not deployed, with its files and its evaluation."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        found = client.model(model_name(client, project, model))
        if not yes:
            typer.confirm(f"Delete {found.name} for good?", abort=True, err=True)
        client.models.delete(found.name)
    output.result({"deleted": [found.name]}, f"deleted: {found.name}")


@models_app.command("download")
def download_command(
    project: ProjectArgument,
    model: ModelArgument,
    folder: Annotated[Path, typer.Argument(help="Where the files go; made if need be.")],
    format_: Annotated[Format, typer.Option("--format", help="What is to run the files.")] = Format.ONNX,
    as_json: JsonOption = False,
) -> None:
    """Download a model as a folder of a Triton model repository; goes on where an earlier download broke off."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        found = client.model(model_name(client, project, model))
        wanted = Artifact.Format.Value(f"FORMAT_{format_.name}")
        artifacts = [artifact for artifact in found.artifacts if artifact.format == wanted]
        if not artifacts:
            raise no_file_of(found, wanted)
        with output.progress() as progress:
            task = progress.add_task("downloading", total=sum(a.size_bytes for a in artifacts), note="")
            for artifact in artifacts:
                target = folder / artifact.path
                target.parent.mkdir(parents=True, exist_ok=True)
                client.models.download(found.name, artifact, target, lambda count: progress.advance(task, count))
    output.result({"folder": str(folder), "artifacts": list_of(artifacts)}, f"{found.name} is in {folder}")


@models_app.command("card")
def card_command(project: ProjectArgument, model: ModelArgument = LATEST, as_json: JsonOption = False) -> None:
    """Tell all about a model on one page, in Markdown."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        name = model_name(client, project, model)
        card = client.models.card(name)
    output.result({"name": f"{name}/card", "markdown": card})
    if not as_json:
        typer.echo(card, nl=False)  # As it is, so that it can go into a file.


@models_app.command("export")
def export_command(
    project: ProjectArgument,
    model: ModelArgument,
    folder: Annotated[Path, typer.Argument(help="The folder to make; it must be empty if it is there.")],
    format_: Annotated[
        OnnxFormat, typer.Option("--format", help="Which ONNX file; what the model recommends for CPUs if left out.")
    ] = OnnxFormat.RECOMMENDED,
    as_json: JsonOption = False,
) -> None:
    """Write a model to a folder that runs with onnxruntime alone, with an example that needs no Sightsmith."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        found = client.model(model_name(client, project, model))
        file = onnx_file_of(found, _onnx_format(found, format_))
        with output.progress() as progress:
            task = progress.add_task("downloading", total=file.size_bytes, note="")
            export_model(client.models, found, folder, lambda count: progress.advance(task, count), file)
    name = format_name(file.format)
    told = f"{found.name} ({name}) is in {folder}; try: python {folder / 'predict.py'} IMAGE"
    output.result({"model": found.name, "folder": str(folder), "format": name}, escape(told))


def _onnx_format(model: Model, wanted: OnnxFormat) -> Artifact.Format.ValueType:
    if wanted is OnnxFormat.RECOMMENDED:
        return recommended_for_cpu(model)
    return Artifact.Format.Value(f"FORMAT_{wanted.name}")


def _read_tags(tags: Sequence[str]) -> dict[str, str]:
    read = {}
    for tag in tags:
        name, equals, value = tag.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"must be NAME=VALUE, not {tag[:80]!r}")
        read[name] = value
    return read


def _details(model: Model) -> Table:
    table = Table(title=model.name, show_header=False)
    rows = {
        "task": Model.Task.Name(model.task).removeprefix("TASK_").lower().replace("_", " "),
        "labels": ", ".join(model.labels),
        "accuracy": f"{model.evaluation.accuracy:.3f}",
        "macro F1": f"{model.evaluation.macro_f1:.3f}",
        "snapshot": model.snapshot,
        "training job": model.training_job,
        "created": f"{model.create_time.ToDatetime():%Y-%m-%d %H:%M}",
        "copy of": model.copied_from,
        "description": model.description,
        "tags": ", ".join(f"{name}={value}" for name, value in sorted(model.tags.items())),
    }
    for name, value in rows.items():
        if value:
            table.add_row(name, escape(value))
    return table


def _files(model: Model) -> Table:
    table = Table("format", "file", "bytes", "SHA-256")
    for artifact in model.artifacts:
        table.add_row(format_name(artifact.format), artifact.path, str(artifact.size_bytes), artifact.sha256)
    return table


MORE_COMMANDS = {
    "fetch": Lazy("fetching:fetch_command", "Get pretrained weights that trainings start from, and verify them."),
    "weights": Lazy(
        "fetching:weights_command",
        "List the pretrained weights that trainings can start from, and which of them are on this machine.",
    ),
    "report": Lazy(
        "reports:report_command",
        "Download what tells of a training: a page to open in a browser, and the result files of Custom Labels.",
    ),
    "evaluation": Lazy(
        "evaluations:evaluation_command", "Show how good a model is, how sure that is, and what would help."
    ),
    "evaluate": Lazy(
        "judging:evaluate_command",
        "Judge a model by other images than those of its training; those that it learned from are left out.",
    ),
    "evaluations": Lazy(
        "judging:evaluations_command",
        "List the evaluations of a model by other images than those of its training, newest first.",
    ),
    "cancel-evaluation": Lazy("judging:cancel_command", "Stop an evaluation."),
    "delete-evaluation": Lazy(
        "judging:delete_command",
        "Delete an evaluation of a model by other images; the model and its own evaluation stay.",
    ),
    "mistakes": Lazy(
        "evaluations:mistakes_command",
        "Show the images on which a model is wrong, the most confident mistakes first.",
    ),
    "compare": Lazy(
        "evaluations:compare_command",
        "Tell which of two models is better on the images that both were judged by, and whether that may be chance.",
    ),
    "thresholds": Lazy(
        "evaluations:thresholds_command",
        "Show or change the scores from which on labels hold. Deployments follow by themselves.",
    ),
}
add_commands(models_app, MORE_COMMANDS)
