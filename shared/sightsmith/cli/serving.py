"""`sightsmith deploy` and `predict`."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from sightsmith.api.inference.v1.deployment_pb2 import Deployment, Replicas, SamplingPolicy
from sightsmith.api.inference.v1.prediction_service_pb2 import StreamPredictResponse
from sightsmith.cli.output import MOST, JsonOption, Output, fields_of
from sightsmith.cli.scaling import IdleOption, ReplicasOption, TuneOption, replicas_of
from sightsmith.cli.training import LATEST, ProjectArgument, model_name
from sightsmith.cli.videos import predict_video, seconds_of
from sightsmith.client import Client
from sightsmith.client.labelled_folder import IMAGE_SUFFIXES, FolderError
from sightsmith.client.video import DEFAULT_LIMITS as _LIMITS
from sightsmith.names import DeploymentName
from sightsmith.rpc.status import from_status
from sightsmith.settings import MAX_MESSAGE_BYTES, MEBIBYTE

DEFAULT_DEPLOYMENT = "live"


class Runtime(StrEnum):
    """What runs a model."""

    RECOMMENDED = "recommended"
    ONNX = "onnx"
    ONNX_INT8 = "onnx-int8"
    ONNX_FP16 = "onnx-fp16"
    TORCHSCRIPT = "torchscript"


def deploy_command(
    project: ProjectArgument,
    model: Annotated[str, typer.Argument(help="Id of the model, such as v1.")] = LATEST,
    name: Annotated[str, typer.Option(help="Name under which the model answers.")] = DEFAULT_DEPLOYMENT,
    runtime: Annotated[
        Runtime, typer.Option(help="What runs the model: which of its files; what the model recommends if left out.")
    ] = Runtime.RECOMMENDED,
    sample_share: Annotated[
        float | None, typer.Option(help="Share of all predictions, 0 to 1, that goes into the review queue.")
    ] = None,
    sample_below: Annotated[
        float | None, typer.Option(help="Predictions below this confidence, 0 to 1, go into the review queue.")
    ] = None,
    replicas: ReplicasOption = None,
    idle: IdleOption = None,
    tune: TuneOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a model into service, or another one behind the same name without a gap."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        sampling = _sampling(sample_share, sample_below)
        deployment = deploy(
            client,
            project,
            name,
            model_name(client, project, model),
            output,
            runtime,
            sampling,
            replicas_of(client, project, name, replicas, idle),
            tune,
        )
    output.result(fields_of(deployment), f"{deployment.name} serves {deployment.serving_model}")


def predict_command(
    project: ProjectArgument,
    files: Annotated[
        list[Path] | None, typer.Argument(help="Image files, and folders of which all image files are taken.")
    ] = None,
    deployment: Annotated[str, typer.Option(help="Which deployment to ask.")] = DEFAULT_DEPLOYMENT,
    min_confidence: Annotated[
        float | None,
        typer.Option(help="Leave out labels below it, 0 to 1; 0 shows everything. The model's own rule if left out."),
    ] = None,
    max_results: Annotated[
        int, typer.Option(help="How many labels or boxes at most; 0 for no limit.", min=0, max=MOST)
    ] = 0,
    label: Annotated[
        list[str] | None, typer.Option(help="Show this label and leave out others; may be given several times.")
    ] = None,
    video: Annotated[
        Path | None, typer.Option(help="A video file in place of images; prints a line of JSON for each frame.")
    ] = None,
    every: Annotated[
        float, typer.Option(parser=seconds_of, metavar="TIME", help="Time between frames: 1s, 500ms, 2m.")
    ] = "1s",  # type: ignore[assignment]  # read by the parser
    max_frames: Annotated[int, typer.Option(min=1, help="How many frames of a video at most.")] = _LIMITS.frames,
    max_length: Annotated[
        float, typer.Option(parser=seconds_of, metavar="TIME", help="How long a video may be.")
    ] = f"{_LIMITS.seconds / 3600:g}h",  # type: ignore[assignment]
    as_json: JsonOption = False,
) -> None:
    """Ask a deployed model what is in images, or in the frames of a video."""
    output = Output(as_json)
    if (video is None) == (not files):
        raise typer.BadParameter("give image files and folders, or a video by --video")
    wish: dict[str, Any] = {"min_confidence": min_confidence, "max_results": max_results, "labels": label or ()}
    with output.failing_clearly(), Client.connect() as client:
        images = list(_image_files(files or []))
        _wait_until_it_answers(client, project, deployment, output)
        if video is not None:
            limits = replace(_LIMITS, frames=max_frames, seconds=max_length)
            raise typer.Exit(0 if predict_video(client, project, deployment, video, every, limits, **wish) else 1)
        answers = _answers(client, project, deployment, images, **wish)
    output.result({"predictions": answers}, predictions_table(answers))
    if any("error" in answer for answer in answers):
        raise typer.Exit(1)


def _answers(
    client: Client, project: str, deployment: str, files: Sequence[Path], **wish: Any
) -> Sequence[dict[str, Any]]:
    """What is in image files, or why it cannot be told; each is read when its turn comes."""
    unreadable = {file: problem for file in files if (problem := _problem_of(file))}
    readable = [file for file in files if file not in unreadable]
    images = ((str(number), file.read_bytes()) for number, file in enumerate(readable))
    found = zip(readable, client.predict_stream(project, deployment, images, **wish), strict=True)
    answered = {file: _answer(file, result) for file, result in found}
    return [unreadable.get(file) or answered[file] for file in files]


def deploy(
    client: Client,
    project: str,
    name: str,
    model: str,
    output: Output,
    runtime: Runtime = Runtime.RECOMMENDED,
    sampling: SamplingPolicy | None = None,
    replicas: Replicas | None = None,
    tune: bool | None = None,
) -> Deployment:
    """Deploys a model and waits until it serves."""
    tuning = Deployment.TUNING_MEASURED if tune else Deployment.TUNING_UNSPECIFIED
    with output.console.status(f"deploying {model}"):
        started = client.deploy(
            project, name, model, _runtime(runtime), sampling, replicas, None if tune is None else tuning
        )
        return client.wait_for_deployment(started.name)


def _runtime(runtime: Runtime) -> Deployment.Runtime.ValueType:
    if runtime is Runtime.RECOMMENDED:
        return Deployment.RUNTIME_UNSPECIFIED
    return Deployment.Runtime.Value(f"RUNTIME_{runtime.name}")


def _sampling(share: float | None, below: float | None) -> SamplingPolicy | None:
    """The policy that options ask for; None if they say nothing, which leaves it as it is."""
    if share is None and below is None:
        return None
    return SamplingPolicy(share=share or 0.0, below_confidence=below or 0.0)


def _wait_until_it_answers(client: Client, project: str, deployment: str, output: Output) -> None:
    """After a restart of the stack, models are loaded for some seconds before they answer."""
    # An alias may follow; it starts with the deployment.
    name = str(DeploymentName(project, deployment.partition("@")[0]))
    if client.deployment(name).state == Deployment.STATE_STARTING:
        with output.console.status(f"{name} is starting"):
            client.wait_for_deployment(name)


def _image_files(paths: Sequence[Path]) -> Iterator[Path]:
    """The files that are meant: of folders all that look like images, ordered.

    Raises:
        FolderError: if there are none in a folder.
    """
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = sorted(file for file in path.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file())
        if not found:
            raise FolderError(f"there are no images in {path}")
        yield from found


def _problem_of(file: Path) -> dict[str, Any] | None:
    """Why a file cannot be sent, as an answer; None if it can."""
    try:
        with file.open("rb") as opened:
            size = os.fstat(opened.fileno()).st_size
    except OSError as error:
        return _refusal(file, "FILE_UNREADABLE", f"cannot be opened: {error.strerror}")
    if size > MAX_MESSAGE_BYTES - MEBIBYTE:
        limit = f"{MAX_MESSAGE_BYTES / MEBIBYTE - 1:.0f} MiB"
        return _refusal(file, "TOO_LARGE", f"has {size / MEBIBYTE:.1f} MiB; a message holds {limit}")
    return None


def _answer(file: Path, result: StreamPredictResponse) -> dict[str, Any]:
    if result.HasField("error"):
        error = from_status(result.error)
        return _refusal(file, error.reason, error.message)
    return {"file": _shown(file), "labels": [fields_of(prediction) for prediction in result.predictions]}


def _refusal(file: Path, reason: str, message: str) -> dict[str, Any]:
    return {"file": _shown(file), "error": {"reason": reason, "message": message}}


def _shown(file: Path) -> str:
    """A name that can be printed, whatever bytes are in it."""
    return os.fsencode(file).decode("utf-8", "backslashreplace")


def predictions_table(answers: Sequence[dict[str, Any]]) -> Table:
    """Files with what is in them; with the places of boxes, if there are any."""
    table = Table()
    table.add_column("file", overflow="fold")
    table.add_column("label", overflow="fold")
    table.add_column("confidence", justify="right")
    if any("box" in found for answer in answers for found in answer.get("labels", [])):
        table.add_column("left, top, width, height", justify="right")
    for answer in answers:
        file = escape(answer["file"])
        if "error" in answer:
            table.add_row(file, f"[red]{escape(answer['error']['message'])}[/]")
        elif not answer["labels"]:
            table.add_row(file, "[dim]nothing[/]")
        for index, found in enumerate(answer.get("labels", [])):
            table.add_row(file if index == 0 else "", *_cells(found))
    return table


def _cells(found: dict[str, Any]) -> list[str]:
    """A label with its confidence and, if it has one, its box in shares of the image's sides."""
    cells = [escape(found["label"]), f"{found.get('confidence', 0.0):.3f}"]
    if (box := found.get("box")) is not None:
        cells.append("  ".join(f"{box.get(side, 0.0):.3f}" for side in ("left", "top", "width", "height")))
    return cells
