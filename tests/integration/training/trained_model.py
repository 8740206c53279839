"""Models as the worker publishes them, without a training."""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sightsmith.database import Database, utc_now
from sightsmith.names import ModelName, TrainingJobName
from sightsmith.objects import Objects
from sightsmith_training.engine.contract import Candidate, Parity, Recommendation
from sightsmith_training.engine.evaluation_result import Evaluation, ImagePrediction, LabelEvaluation
from sightsmith_training.engine.specification import Task
from sightsmith_training.models import Model, StoredArtifact, add_model, model_id, next_model_number
from sightsmith_training.triton_config import triton_config, triton_model_name

LABELS = ("dark", "green", "light")


@dataclass(frozen=True)
class Answers:
    """What a model says of the images that it is judged by, and how it is judged."""

    task: Task
    labels: Sequence[str]
    images: Sequence[ImagePrediction]
    thresholds: Sequence[float] = ()
    evaluation: Evaluation | None = None


FILE_NAMES = {"onnx": "1/model.onnx", "onnx_int8": "1/model.onnx", "torchscript": "1/model.pt"}


async def publish(
    database: Database,
    objects: Objects,
    project: str,
    files: Mapping[str, bytes],
    labels: Sequence[str] = LABELS,
    side: int = 8,
    macro_f1: float = 0.5,
    judged: Answers | None = None,
    training_job: str = "",
    recommendations: Sequence[Recommendation] = (),
) -> str:
    """Writes a model with these exported files, by format, and what it says of images; returns its name."""
    judged = judged or Answers("classification", labels, [_prediction(project, labels, index) for index in range(4)])
    labels = judged.labels
    async with database.transaction() as session:
        number = await next_model_number(session, project)
    name = ModelName(project, model_id(number))
    artifacts = [
        stored
        for model_format, data in files.items()
        for stored in await _store(objects, name, model_format, data, side, len(labels))
    ]
    candidate = Candidate(
        backbones=["efficientnet-lite0", "ours"],
        strength=1.0,
        scores=[0.9],
        score_mean=0.9,
        score_std=0.01,
        log_loss=0.2,
        licences={"ours": "MIT"},
    )
    model = Model(
        name=name,
        number=number,
        training_job=TrainingJobName(project, training_job or f"j-{uuid.uuid4().hex[:12]}"),
        snapshot=f"projects/{project}/snapshots/1",
        task=judged.task,
        labels=list(labels),
        thresholds=judged.thresholds,
        image_side=side,
        seed=7,
        candidates=[candidate],
        library_versions={"torch": "2.14.1", "numpy": "2.4.0"},
        artifacts=artifacts,
        parity=Parity(onnx=1e-6, torchscript=2e-6, label_agreement=1.0, images=4, tolerance=1e-4),
        evaluation=judged.evaluation or _evaluation(labels, macro_f1),
        training_seconds=12.5,
        create_time=utc_now(),
        recommendations=recommendations,
    )
    async with database.transaction() as session:
        await add_model(session, model, judged.images)
    return str(name)


async def _store(
    objects: Objects, name: ModelName, model_format: str, data: bytes, side: int, labels: int
) -> list[StoredArtifact]:
    triton_name = triton_model_name(name.project, name.model, model_format, hashlib.sha256(data).hexdigest())
    config = triton_config(triton_name, model_format, side, labels).encode()
    stored = []
    for path, content in (("config.pbtxt", config), (FILE_NAMES[model_format], data)):
        key = f"models/{name.project}/{name.model}/{triton_name}/{path}"
        await objects.put(key, content)
        sha256 = hashlib.sha256(content).hexdigest()
        stored.append(StoredArtifact(format=model_format, path=path, key=key, sha256=sha256, size_bytes=len(content)))
    return stored


def _evaluation(labels: Sequence[str], macro_f1: float) -> Evaluation:
    return Evaluation(
        evaluated_on="test",
        accuracy=0.75,
        macro_precision=0.7,
        macro_recall=0.6,
        macro_f1=macro_f1,
        per_label=[LabelEvaluation(label=label, precision=0.7, recall=0.6, f1=0.5, images=20) for label in labels],
        confusion_matrix=[[20 if row == column else 0 for column in labels] for row in labels],
    )


def _prediction(project: str, labels: Sequence[str], index: int) -> ImagePrediction:
    confidence, predicted = 0.5 + index / 10, index % len(labels)
    rest = (1 - confidence) / max(1, len(labels) - 1)
    return ImagePrediction(
        image=f"projects/{project}/datasets/test/images/i-{index}",
        source=f"{index}.jpg",
        true_labels=[labels[0]],
        predicted_labels=[labels[predicted]],
        confidence=confidence,
        scores=[confidence if place == predicted else rest for place in range(len(labels))],
    )
