"""Part `training`: how good the model is, how long it takes, and whether all its forms give the same answers."""

from collections.abc import Sequence
from pathlib import Path

from sightsmith.api.inference.v1.deployment_pb2 import Deployment
from sightsmith.api.labeling.v1.snapshot_pb2 import Snapshot
from sightsmith.api.training.v1.evaluation_pb2 import EvaluatedImage
from sightsmith.api.training.v1.model_pb2 import Model
from sightsmith.api.training.v1.training_job_pb2 import TrainingJob
from sightsmith.client import Client
from sightsmith.rpc.status import from_status
from tests.perf.figures import Measured
from tests.perf.processor_time import processor_seconds
from tests.perf.workplace import PROJECT, deploy, import_photos, running_stack, train, wait_for_embeddings

_RUNTIMES = {"by-onnx": Deployment.RUNTIME_ONNX, "by-torchscript": Deployment.RUNTIME_TORCHSCRIPT}

# One batch of Triton's. Speed is not measured here, and on a busy machine more might not be answered in time.
_IMAGES_A_CALL = 8

Answer = dict[str, float]
"""Score of every label."""


def measure(photos: Path) -> Measured:
    """Trains three times from one snapshot, and once from another that brings embeddings.

    The figures are the second model's unless they are called cold, fast or balanced.
    """
    with running_stack() as (endpoints, client):
        import_photos(client, photos)
        snapshot = client.snapshots.take(PROJECT)
        # The first training of a stack exports the pretrained backbones, which all later ones use.
        _, cold_seconds = train(client, snapshot)
        model, seconds = train(client, snapshot)
        quality = client.evaluation(model.name).summary
        return {
            "training.photos_train_images": snapshot.train_image_count,
            "training.photos_test_images": snapshot.test_image_count,
            "training.photos_accuracy": quality.accuracy,
            "training.photos_macro_f1": quality.macro_f1,
            "training.photos_job_cold_seconds": cold_seconds,
            "training.photos_job_seconds": seconds,
            **_parity(client, model),
            **_train_from_embeddings(client, endpoints.data_dir),
            **_train_balanced(client, snapshot),
        }


def _train_from_embeddings(client: Client, data_dir: Path) -> Measured:
    """A quick training of images that are embedded; processor seconds are those of every process of the stack."""
    wait_for_embeddings(client)
    snapshot = client.snapshots.take(PROJECT)
    begin = processor_seconds(data_dir)
    model, seconds = train(client, snapshot)
    return {
        "training.photos_fast_seconds": seconds,
        "training.photos_fast_cpu_seconds": processor_seconds(data_dir) - begin,
        "training.photos_fast_macro_f1": client.evaluation(model.name).summary.macro_f1,
    }


def _train_balanced(client: Client, snapshot: Snapshot) -> Measured:
    model, seconds = train(client, snapshot, TrainingJob.EFFORT_BALANCED)
    return {
        "training.photos_balanced_seconds": seconds,
        "training.photos_balanced_macro_f1": client.evaluation(model.name).summary.macro_f1,
    }


def _parity(client: Client, model: Model) -> Measured:
    """The exports' parity as training measured it, and that of the served answers, which came as JPEG over gRPC."""
    judged = list(client.evaluated_images(model.name))
    images = [client.download(image.image) for image in judged]
    differences, agreements = [], [model.parity.label_agreement]
    for deployment, runtime in _RUNTIMES.items():
        deploy(client, deployment, model, runtime)
        answers = _answers(client, deployment, images)
        differences.append(_largest_difference(model.labels, judged, answers))
        agreements.append(_agreement(model.labels, judged, answers))
    return {
        "training.photos_parity_onnx": model.parity.onnx_difference,
        "training.photos_parity_torchscript": model.parity.torchscript_difference,
        "training.photos_parity_triton": max(differences),
        "training.photos_label_agreement": min(agreements),
    }


def _answers(client: Client, deployment: str, images: Sequence[bytes]) -> list[Answer]:
    answers = []
    for begin in range(0, len(images), _IMAGES_A_CALL):
        call = images[begin : begin + _IMAGES_A_CALL]
        for result in client.predict_many(PROJECT, deployment, call, min_confidence=0.0):
            if result.HasField("error"):
                raise from_status(result.error)
            answers.append({found.label: found.confidence for found in result.predictions})
    return answers


def _largest_difference(labels: Sequence[str], judged: Sequence[EvaluatedImage], answers: Sequence[Answer]) -> float:
    return max(
        abs(answer[label] - score)
        for image, answer in zip(judged, answers, strict=True)
        for label, score in zip(labels, image.scores, strict=True)
    )


def _agreement(labels: Sequence[str], judged: Sequence[EvaluatedImage], answers: Sequence[Answer]) -> float:
    """Share of the images of which the served model is surest of the trained network's label, sure enough or not."""
    scores = (dict(zip(labels, image.scores, strict=True)) for image in judged)
    pairs = zip(scores, answers, strict=True)
    agree = [max(trained, key=trained.__getitem__) == max(served, key=served.__getitem__) for trained, served in pairs]
    return sum(agree) / len(agree)
