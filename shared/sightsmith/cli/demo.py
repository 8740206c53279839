"""`sightsmith demo`: the main job from labelled photos to a served model, on a stack of its own."""

import os
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr

from sightsmith.api.training.v1 import evaluation_pb2, model_pb2
from sightsmith.api.training.v1.training_job_pb2 import TrainingJob
from sightsmith.cli.importing import ImportReport, import_folder, summary_of
from sightsmith.cli.output import JsonOption, Output
from sightsmith.cli.serving import DEFAULT_DEPLOYMENT, deploy
from sightsmith.cli.training_progress import follow_training
from sightsmith.cli.up import start_stack
from sightsmith.client import Client, Connection
from sightsmith.client.labelled_folder import read_labelled_folder
from sightsmith.demo.contact_sheet import Tile, write_contact_sheet
from sightsmith.demo.photos import fetch_demo_photos
from sightsmith.demo.report import DemoReport, LabelScore, Parity, PredictedFile, RejectedFile, render_table
from sightsmith.rpc.status import from_status
from sightsmith.stack.settings import StackSettings
from sightsmith.stack.stack import Stack

PROJECT = "demo"
REPORT = "report.json"
CONTACT_SHEET = "contact_sheet.png"


def demo_command(
    data: Annotated[
        Path | None, typer.Option(help="Your own images: FOLDER/<label>/* or FOLDER/{train,test}/<label>/*.")
    ] = None,
    report: Annotated[Path, typer.Option(help="Where to write report.json and contact_sheet.png.")] = Path(
        "demo-report"
    ),
    as_json: JsonOption = False,
) -> None:
    """Run the main job on real photos: import, train, evaluate, deploy, predict. Takes a few minutes."""
    output = Output(as_json)
    begin = time.monotonic()
    _forget_other_stacks()
    with output.failing_clearly():
        # What an earlier run found must not be taken for what this one did.
        for name in (REPORT, CONTACT_SHEET):
            (report / name).unlink(missing_ok=True)
        contents = read_labelled_folder(data or fetch_demo_photos(output.console.print))
        with tempfile.TemporaryDirectory(prefix="sightsmith-demo-", ignore_cleanup_errors=True) as folder:
            stack = start_stack(StackSettings(data_dir=Path(folder), free_ports=True), output)
            try:
                with Client(_connection(stack)) as client:
                    imported = import_folder(client, PROJECT, contents, output)
                    for line in summary_of(imported):
                        output.console.print(line)
                    result = _run(client, imported, output, begin, report)
            finally:
                with output.console.status("stopping"):
                    stack.stop()
    output.result(result.model_dump(mode="json"), render_table(result), _closing_lines(result, report))


_QUICKLY = TrainingJob(effort=TrainingJob.EFFORT_FAST)


def _forget_other_stacks() -> None:
    """Drops settings that point elsewhere: the demo must not write into somebody's production."""
    for name in [name for name in os.environ if name.startswith("SIGHTSMITH_")]:
        del os.environ[name]


def _run(client: Client, imported: ImportReport, output: Output, begin: float, folder: Path) -> DemoReport:
    """From the snapshot to the answers of the served model."""
    snapshot = client.snapshots.take(PROJECT)
    train_begin = time.monotonic()
    job = follow_training(client, client.train(PROJECT, snapshot.name, wishes=_QUICKLY), output)
    train_seconds = time.monotonic() - train_begin
    model, evaluation = client.model(job.model), client.evaluation(job.model)
    deploy(client, PROJECT, DEFAULT_DEPLOYMENT, model.name, output)
    judged = list(client.evaluated_images(model.name))
    images = [client.download(image.image) for image in judged]
    answers = _predict(client, images, output)
    result = DemoReport(
        task=model_pb2.Model.Task.Name(model.task).removeprefix("TASK_").lower(),
        labels=tuple(model.labels),
        train_images=snapshot.train_image_count,
        test_images=snapshot.test_image_count,
        accuracy=evaluation.summary.accuracy,
        macro_f1=evaluation.summary.macro_f1,
        train_seconds=train_seconds,
        total_seconds=time.monotonic() - begin,
        model=model.name,
        snapshot=snapshot.name,
        backbones=tuple(model.candidates[0].backbones),
        evaluated_on=evaluation_pb2.Evaluation.Basis.Name(evaluation.basis).removeprefix("BASIS_").lower(),
        parity=_parity(model, judged, answers),
        per_label=tuple(
            LabelScore(label=m.label, precision=m.precision, recall=m.recall, f1=m.f1, images=m.image_count)
            for m in evaluation.label_metrics
        ),
        rejected=tuple(RejectedFile(file=r.file, reason=r.reason, message=r.message) for r in imported.rejected),
        predictions=tuple(
            PredictedFile(
                file=image.source,
                true_label=image.true_label,
                predicted_label=_best(answer),
                confidence=max(answer.values()),
            )
            for image, answer in zip(judged, answers, strict=True)
        ),
    )
    folder.mkdir(parents=True, exist_ok=True)
    result.write(folder / REPORT)
    tiles = [
        Tile(data, prediction.true_label, prediction.predicted_label, prediction.confidence)
        for data, prediction in zip(images, result.predictions, strict=True)
    ]
    write_contact_sheet(folder / CONTACT_SHEET, tiles, f"{PROJECT}: what the served model said")
    return result


def _connection(stack: Stack) -> Connection:
    endpoints = stack.endpoints
    token = SecretStr(endpoints.token_file.read_text().strip())
    return Connection(endpoints.labeling, endpoints.training, endpoints.inference, token)


def _predict(client: Client, images: list[bytes], output: Output) -> list[dict[str, float]]:
    """What the served model says of each image: every label with its score."""
    answers = []
    with output.progress() as progress:
        task = progress.add_task("predicting held-out images", total=len(images), note="")
        for result in client.predict_many(PROJECT, DEFAULT_DEPLOYMENT, images, min_confidence=0.0):
            if result.HasField("error"):
                raise from_status(result.error)
            answers.append({found.label: found.confidence for found in result.predictions})
            progress.advance(task)
    return answers


def _best(answer: dict[str, float]) -> str:
    return max(answer, key=lambda label: answer[label])


def _parity(
    model: model_pb2.Model, judged: list[evaluation_pb2.EvaluatedImage], answers: list[dict[str, float]]
) -> Parity:
    """The exports' parity as training measured it, and the served answers against the trained network's scores."""
    differences = [
        abs(answer[label] - score)
        for image, answer in zip(judged, answers, strict=True)
        for label, score in zip(model.labels, image.scores, strict=True)
    ]
    same = [_best(answer) == image.predicted_label for image, answer in zip(judged, answers, strict=True)]
    return Parity(
        onnx=model.parity.onnx_difference,
        torchscript=model.parity.torchscript_difference,
        triton=max(differences),
        label_agreement=min(model.parity.label_agreement, sum(same) / len(same)),
        images=len(judged),
        tolerance=model.parity.tolerance,
    )


def _closing_lines(result: DemoReport, folder: Path) -> str:
    parity = result.parity
    return (
        f"trained in {result.train_seconds:.0f} s, all in {result.total_seconds:.0f} s; greatest difference from the "
        f"trained network: ONNX {parity.onnx:.1e}, TorchScript {parity.torchscript:.1e}, Triton {parity.triton:.1e}\n"
        f"written: {folder / 'report.json'}, {folder / 'contact_sheet.png'}"
    )
