"""`sightsmith deploy` and `predict`."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from sightsmith.api.inference.v1.deployment_pb2 import Deployment, Replicas, SamplingPolicy
from sightsmith.api.inference.v1.prediction_service_pb2 import StreamPredictResponse
from sightsmith.cli.output import MOST, JsonOption, Output, fields_of
from sightsmith.cli.scaling import IdleOption, ReplicasOption, TuneOption, replicas_of
from sightsmith.cli.training import LATEST, ProjectArgument, model_name, short_id
from sightsmith.cli.videos import predict_video, seconds_of
from sightsmith.client import Client
from sightsmith.client.labelled_folder import IMAGE_SUFFIXES, FolderError
from sightsmith.client.patience import Patience
from sightsmith.client.video import DEFAULT_LIMITS as _LIMITS
from sightsmith.counting import counted
from sightsmith.errors import ResourceExhaustedError, SightsmithError
from sightsmith.names import DeploymentName
from sightsmith.rpc.status import from_status
from sightsmith.sizes import MAX_MESSAGE_BYTES, MEBIBYTE

DEFAULT_DEPLOYMENT = "live"
_DAY_SECONDS = 86400


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
    sample_near: Annotated[
        float | None, typer.Option(help="Predictions with a score so near to its threshold go there, 0 to 1.")
    ] = None,
    sample_disagreement: Annotated[
        float | None, typer.Option(help="Share of the images on which other aliases disagree that goes there.")
    ] = None,
    sample_drift: Annotated[
        float | None, typer.Option(help="Share that is looked at for images unlike those that the model knows.")
    ] = None,
    sample_days: Annotated[
        float | None, typer.Option(help="For how many days samples are kept; as the server is set to if left out.")
    ] = None,
    replicas: ReplicasOption = None,
    idle: IdleOption = None,
    tune: TuneOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a model into service, or another one behind the same name without a gap."""
    output = Output(as_json)
    with output.failing_clearly(), Client.connect() as client:
        sampling = sampling_of(
            share=sample_share,
            below_confidence=sample_below,
            threshold_margin=sample_near,
            disagreement_share=sample_disagreement,
            drift_share=sample_drift,
            days=sample_days,
        )
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
        typer.Option(
            help="Leave out labels below it, 0 to 1; 0 shows everything. The model's own rule if left out.",
            min=0,
            max=1,
        ),
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
    wish["patience"] = waiting_aloud(output)
    with output.failing_clearly(), Client.connect() as client:
        images = list(_image_files(files or []))
        _wait_until_it_answers(client, project, deployment, output)
        if video is not None:
            limits = replace(_LIMITS, frames=max_frames, seconds=max_length)
            raise typer.Exit(0 if predict_video(client, project, deployment, video, every, limits, **wish) else 1)
        answers = _answers(client, project, deployment, images, **wish)
    output.result({"predictions": answers}, *answers_for_people(answers))
    problems = list(problems_of(answers))
    for problem in () if as_json else problems:
        output.error(problem)
    if problems:
        raise typer.Exit(1)


def _answers(
    client: Client, project: str, deployment: str, files: Sequence[Path], **wish: Any
) -> Sequence[dict[str, Any]]:
    """What is in image files, or why it cannot be told; each is read when its turn comes.

    Raises:
        SightsmithError: if nothing can be answered.
    """
    unreadable = {file: problem for file in files if (problem := _problem_of(file))}
    readable = [file for file in files if file not in unreadable]
    images = ((str(number), file.read_bytes()) for number, file in enumerate(readable))
    answered: dict[Path, dict[str, Any]] = {}
    try:
        for file, result in zip(readable, client.predict_stream(project, deployment, images, **wish), strict=True):
            answered[file] = _answer(file, result)
    except SightsmithError as error:
        if not answered:
            raise
        # What was answered is not lost for what was not.
        answered |= {file: _refusal(file, error) for file in readable if file not in answered}
    return [unreadable.get(file) or answered[file] for file in files]


def waiting_aloud(output: Output) -> Patience:
    """Patience that tells people what it waits for."""
    return Patience(on_wait=lambda error: output.console.print(f"waiting: {escape(error.message)}", soft_wrap=True))


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


def sampling_of(*, days: float | None = None, **wanted: float | None) -> SamplingPolicy | None:
    """The policy that options ask for; None if they say nothing, which leaves it as it is.

    Args:
        days: for how long samples are kept.
        wanted: fields of the policy.
    """
    said: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
    if not said and days is None:
        return None
    policy = SamplingPolicy(**said)
    if days is not None:
        policy.keep_duration.FromSeconds(round(days * _DAY_SECONDS))
    return policy


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
        return _refusal(file, SightsmithError(f"cannot be opened: {error.strerror}", reason="FILE_UNREADABLE"))
    if size > MAX_MESSAGE_BYTES - MEBIBYTE:
        limit = f"{MAX_MESSAGE_BYTES / MEBIBYTE - 1:.0f} MiB"
        return _refusal(file, ResourceExhaustedError(f"has {size / MEBIBYTE:.1f} MiB; a message holds {limit}"))
    return None


def _answer(file: Path, result: StreamPredictResponse) -> dict[str, Any]:
    if result.HasField("error"):
        return _refusal(file, from_status(result.error))
    labels = [fields_of(prediction) for prediction in result.predictions]
    return {"file": _shown(file), "model": result.model, "alias": result.alias, "labels": labels}


def _refusal(file: Path, error: SightsmithError) -> dict[str, Any]:
    # The field of the request in which the file was sent says nothing to who has named the file.
    message = error.violations[0].description if len(error.violations) == 1 else error.message
    return {"file": _shown(file), "error": {"reason": error.reason, "message": message}}


def _shown(file: Path) -> str:
    """A name that can be printed, whatever bytes are in it."""
    return os.fsencode(file).decode("utf-8", "backslashreplace")


def answers_for_people(answers: Sequence[dict[str, Any]]) -> Iterator[RenderableType]:
    """Files with what is in them, and who says so: once for all if it is the same one."""
    answered = [answer for answer in answers if "labels" in answer]
    if not answered:
        return
    models = {_answering(answer) for answer in answered}
    if len(models) == 1:
        yield f"answered by {escape(models.pop())}"
    yield predictions_table(answered)


def problems_of(answers: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Why files have no answer; those that have the same reason in one line."""
    files: dict[str, list[str]] = {}
    for answer in answers:
        if "error" in answer:
            files.setdefault(answer["error"]["message"], []).append(answer["file"])
    for message, some in files.items():
        others = f" and {counted(len(some) - 1, 'more file')}" if len(some) > 1 else ""
        yield f"{some[0]}{others}: {message}"


def predictions_table(answers: Sequence[dict[str, Any]]) -> Table:
    """Files with what is in them; with the places of boxes, if there are any, and the models, if there are several."""
    table = Table("file")
    tells_model = len({_answering(answer) for answer in answers}) > 1
    if tells_model:
        table.add_column("answered by")
    table.add_column("label")
    table.add_column("confidence", justify="right")
    if any("box" in found for answer in answers for found in answer["labels"]):
        table.add_column("left, top, width, height", justify="right")
    for answer in answers:
        about = [escape(answer["file"]), *([escape(_answering(answer))] if tells_model else [])]
        if not answer["labels"]:
            table.add_row(*about, "[dim]nothing[/]")
        for found in answer["labels"]:
            table.add_row(*about, *_cells(found))
            about = [""] * len(about)
    return table


def _answering(answer: dict[str, Any]) -> str:
    """Who answered, such as `v3 (canary)`."""
    return f"{short_id(answer['model'])} ({answer['alias']})"


def _cells(found: dict[str, Any]) -> list[str]:
    """A label with its confidence and, if it has one, its box in shares of the image's sides."""
    cells = [escape(found["label"]), f"{found.get('confidence', 0.0):.3f}"]
    if (box := found.get("box")) is not None:
        cells.append("  ".join(f"{box.get(side, 0.0):.3f}" for side in ("left", "top", "width", "height")))
    return cells
