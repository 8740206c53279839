"""Asks the training service for the exported files of a model version."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from google.rpc import code_pb2
from grpc import aio

from sightsmith.api.training.v1 import model_pb2, model_service_pb2, model_service_pb2_grpc
from sightsmith.errors import NotFoundError
from sightsmith.names import ModelName
from sightsmith.rpc.channel import error_of
from sightsmith_inference.errors import ModelNotServableError, dependency_unavailable
from sightsmith_inference.models import Processor, Runtime, Task

_TIMEOUT_SECONDS = 10.0
_RUNTIMES = {
    model_pb2.Artifact.FORMAT_ONNX: Runtime.ONNX,
    model_pb2.Artifact.FORMAT_TORCHSCRIPT: Runtime.TORCHSCRIPT,
    model_pb2.Artifact.FORMAT_ONNX_INT8: Runtime.ONNX_INT8,
    model_pb2.Artifact.FORMAT_ONNX_FP16: Runtime.ONNX_FP16,
}
_PROCESSORS = {
    model_pb2.Recommendation.RUNTIME_ONNXRUNTIME_CPU: Processor.CPU,
    model_pb2.Recommendation.RUNTIME_ONNXRUNTIME_CUDA: Processor.GPU,
}
_TASKS = {
    model_pb2.Model.TASK_CLASSIFICATION: Task.CLASSIFICATION,
    model_pb2.Model.TASK_MULTI_LABEL_CLASSIFICATION: Task.MULTI_LABEL_CLASSIFICATION,
    model_pb2.Model.TASK_DETECTION: Task.DETECTION,
}
DEFAULT_THRESHOLD = 0.5
"""From which score on a label holds, where nothing is said of it."""

# Every part begins with a letter, digit or underscore: nothing absolute, hidden or leading upwards gets through.
_PATH = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ModelFile:
    """An exported file.

    Attributes:
        path: its place in the model's folder, relative and checked to stay inside it.
        key: its key in the object store.
        sha256: checksum of its bytes, 64 lower-case hexadecimal digits.
        size_bytes: its size.
    """

    path: str
    key: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class TrainedModel:
    """What must be known of a model version to serve it.

    Attributes:
        name: the model version.
        task: what it does.
        labels: labels in the order of its scores, at least one.
        thresholds: per label, the least score at which it holds, 0 to 1; None if the most likely label is the answer.
        image_side: side in pixels of the square images that it takes.
        files: per runtime, the files of its folder by path.
        recommended: the runtime that it recommends for a processor, where it does.
        refused: per runtime for which a variant was tried and not kept, why not.
    """

    name: ModelName
    task: Task
    labels: tuple[str, ...]
    thresholds: tuple[float, ...] | None
    image_side: int
    files: Mapping[Runtime, Mapping[str, ModelFile]]
    recommended: Mapping[Processor, Runtime] = field(default_factory=dict)
    refused: Mapping[Runtime, str] = field(default_factory=dict)


class TrainedModels:
    """The model versions that the training service knows."""

    def __init__(self, channel: aio.Channel) -> None:
        self._stub = model_service_pb2_grpc.ModelServiceStub(channel)

    async def get(self, name: str) -> TrainedModel:
        """Fetches a model version.

        Args:
            name: `projects/{project}/models/{model}`.

        Raises:
            NotFoundError: if there is none of that name.
            ModelNotServableError: if what the training service says of it cannot be right.
            UnavailableError: if the training service cannot be asked.
        """
        request = model_service_pb2.GetModelRequest(name=name)
        try:
            model = await self._stub.GetModel(request, timeout=_TIMEOUT_SECONDS)
        except aio.AioRpcError as call_error:
            error = error_of(call_error)
            if error.code == code_pb2.NOT_FOUND:
                raise NotFoundError(name) from call_error
            raise dependency_unavailable("training", error.message) from call_error
        return trained_model_of(ModelName.parse(name, "model"), model)


def trained_model_of(name: ModelName, model: model_pb2.Model) -> TrainedModel:
    """Checks and converts what the training service answered.

    Raises:
        ModelNotServableError: if it cannot be right; names the field.
    """
    if (task := _TASKS.get(model.task)) is None:
        raise ModelNotServableError(f"{name} has the task {model.task}, which this version of inference does not know")
    if not model.labels or model.image_side < 1:
        raise ModelNotServableError(f"{name} has no labels, or no size of its images")
    files: dict[Runtime, dict[str, ModelFile]] = defaultdict(dict)
    for index, artifact in enumerate(model.artifacts):
        if artifact.format in _RUNTIMES:
            file = checked_file(artifact, f"artifacts[{index}]")
            files[_RUNTIMES[artifact.format]][file.path] = file
    return TrainedModel(
        name=name,
        task=task,
        labels=tuple(model.labels),
        thresholds=_thresholds_of(name, task, model),
        image_side=model.image_side,
        files=dict(files),
        recommended={
            _PROCESSORS[recommendation.runtime]: _RUNTIMES[recommendation.format]
            for recommendation in model.recommendations
            if recommendation.runtime in _PROCESSORS and recommendation.format in _RUNTIMES
        },
        refused={
            _RUNTIMES[variant.format]: variant.reason
            for variant in model.variants
            if not variant.kept and variant.format in _RUNTIMES
        },
    )


class DescribedFile(Protocol):
    """What another service says of a file; the attributes are those of `ModelFile`, and not to be trusted yet."""

    @property
    def path(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...


def _thresholds_of(name: ModelName, task: Task, model: model_pb2.Model) -> tuple[float, ...] | None:
    """The thresholds in the order of the labels."""
    if not model.thresholds and task is Task.CLASSIFICATION:
        return None
    told = {threshold.label: threshold.threshold for threshold in model.thresholds}
    # Not a number compares false with everything, and so is found too.
    if wrong := {label: value for label, value in told.items() if label not in model.labels or not 0 <= value <= 1}:
        raise ModelNotServableError(f"{name} has thresholds that are none of its labels, or not from 0 to 1: {wrong}")
    return tuple(told.get(label, DEFAULT_THRESHOLD) for label in model.labels)


def checked_file(artifact: DescribedFile, field: str) -> ModelFile:
    """Checks what is said of a file.

    Raises:
        ModelNotServableError: naming `field`, if its path leads out of the model's folder or its checksum is none.
    """
    if _PATH.fullmatch(artifact.path) is None:
        raise ModelNotServableError(f"{field}.path: {artifact.path[:200]!r} is not a path inside the model's folder")
    if _SHA256.fullmatch(artifact.sha256) is None:
        raise ModelNotServableError(f"{field}.sha256: {artifact.sha256[:80]!r} is not a SHA-256")
    return ModelFile(artifact.path, artifact.key, artifact.sha256, artifact.size_bytes)
