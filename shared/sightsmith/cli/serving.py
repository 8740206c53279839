"""`sightsmith deploy` and `predict`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from sightsmith.api.inference.v1.deployment_pb2 import Deployment
from sightsmith.api.inference.v1.prediction_service_pb2 import BatchPredictResponse
from sightsmith.cli.output import JsonOption, Output, fields_of
from sightsmith.cli.training import LATEST, ProjectArgument, model_name
from sightsmith.client import Client
from sightsmith.errors import ResourceExhaustedError
from sightsmith.rpc.status import from_status
from sightsmith.settings import MAX_MESSAGE_BYTES, MEBIBYTE

DEFAULT_DEPLOYMENT = "live"


class Runtime(StrEnum):
    """What runs a model."""

    ONNX = "onnx"
    TORCHSCRIPT = "torchscript"


def deploy_command(
    project: ProjectArgument,
    model: Annotated[str, typer.Argument(help="Id of the model, such as v1.")] = LATEST,
    name: Annotated[str, typer.Option(help="Name under which the model answers.")] = DEFAULT_DEPLOYMENT,
    runtime: Annotated[Runtime, typer.Option(help="What runs the model.")] = Runtime.ONNX,
    as_json: JsonOption = False,
) -> None:
    """Put a model into service, or another one behind the same name without a gap."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        deployment = deploy(client, project, name, model_name(client, project, model), output, runtime)
    output.result(fields_of(deployment), f"{deployment.name} serves {deployment.serving_model}")


def predict_command(
    project: ProjectArgument,
    files: Annotated[list[Path], typer.Argument(help="Image files.")],
    deployment: Annotated[str, typer.Option(help="Which deployment to ask.")] = DEFAULT_DEPLOYMENT,
    min_confidence: Annotated[
        float | None, typer.Option(help="Leave out labels below it, 0 to 1; 0 shows every label.")
    ] = None,
    max_results: Annotated[int, typer.Option(help="How many labels at most; 0 for no limit.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Ask a deployed model what is in images."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        images = map(_read, files)
        results = list(client.predict_many(project, deployment, images, min_confidence, max_results))
    answers = [_answer(file, result) for file, result in zip(files, results, strict=True)]
    output.result({"predictions": answers}, _predictions_table(answers))
    if any("error" in answer for answer in answers):
        raise typer.Exit(1)


def deploy(
    client: Client, project: str, name: str, model: str, output: Output, runtime: Runtime = Runtime.ONNX
) -> Deployment:
    """Deploys a model and waits until it serves."""
    with output.console.status(f"deploying {model}"):
        started = client.deploy(project, name, model, Deployment.Runtime.Value(f"RUNTIME_{runtime.name}"))
        return client.wait_for_deployment(started.name)


def _read(file: Path) -> bytes:
    """The bytes of an image file.

    Raises:
        ResourceExhaustedError: if they cannot fit into a message.
    """
    size = file.stat().st_size
    if size > MAX_MESSAGE_BYTES - MEBIBYTE:
        limit = f"{MAX_MESSAGE_BYTES / MEBIBYTE - 1:.0f} MiB"
        raise ResourceExhaustedError(f"{file} has {size / MEBIBYTE:.1f} MiB; a message holds an image of {limit}")
    return file.read_bytes()


def _answer(file: Path, result: BatchPredictResponse.Result) -> dict[str, Any]:
    if result.HasField("error"):
        error = from_status(result.error)
        return {"file": str(file), "error": {"reason": error.reason, "message": error.message}}
    return {"file": str(file), "labels": [fields_of(prediction) for prediction in result.predictions]}


def _predictions_table(answers: list[dict[str, Any]]) -> Table:
    table = Table()
    table.add_column("file", overflow="fold")
    table.add_column("label", overflow="fold")
    table.add_column("confidence", justify="right")
    for answer in answers:
        if "error" in answer:
            table.add_row(escape(answer["file"]), f"[red]{escape(answer['error']['message'])}[/]", "")
        for index, found in enumerate(answer.get("labels", [])):
            file = escape(answer["file"]) if index == 0 else ""
            table.add_row(file, escape(found["label"]), f"{found.get('confidence', 0.0):.3f}")
    return table
