"""What the training service says of a model, and what its `config.pbtxt` says."""

import math

import pytest

from sightsmith.api.training.v1 import model_pb2
from sightsmith.names import ModelName
from sightsmith_inference.errors import ModelNotServableError
from sightsmith_inference.model_configuration import MODEL_FILES, check_configuration, read_configuration, triton_name
from sightsmith_inference.models import Runtime, ServableModel, Task, outputs_of
from sightsmith_inference.trained_models import TrainedModel, trained_model_of
from sightsmith_training.triton_config import triton_config

NAME = ModelName("shop", "v1")
SHA256 = "0123456789abcdef" * 4
CONFIGURATION = b"""
name: "shop.v1.onnx.0123456789ab"
backend: "onnxruntime"
max_batch_size: 16
input [ { name: "INPUT__0" data_type: TYPE_UINT8 dims: [ 224, 224, 3 ] } ]
output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 2 ] } ]
"""


def _message(path: str = "1/model.onnx", sha256: str = SHA256) -> model_pb2.Model:
    artifact = model_pb2.Artifact(
        format=model_pb2.Artifact.FORMAT_ONNX, path=path, key="models/x", sha256=sha256, size_bytes=5
    )
    return model_pb2.Model(
        task=model_pb2.Model.TASK_CLASSIFICATION, labels=["hen", "cow"], image_side=224, artifacts=[artifact]
    )


@pytest.fixture
def trained() -> TrainedModel:
    return trained_model_of(NAME, _message())


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../up", "1/../../up", "1//x", "./x", ".hidden", "1/.x", "a\\b", "1/x\n"]
)
def test_paths_that_leave_the_folder(path: str) -> None:
    with pytest.raises(ModelNotServableError, match=r"artifacts\[0\]\.path"):
        trained_model_of(NAME, _message(path))


@pytest.mark.parametrize("sha256", ["", SHA256[:-1], SHA256.upper(), SHA256 + "\n"])
def test_what_is_no_checksum(sha256: str) -> None:
    with pytest.raises(ModelNotServableError, match=r"artifacts\[0\]\.sha256"):
        trained_model_of(NAME, _message(sha256=sha256))


def test_model_without_labels() -> None:
    message = _message()
    message.ClearField("labels")
    with pytest.raises(ModelNotServableError, match="no labels"):
        trained_model_of(NAME, message)


@pytest.mark.parametrize(
    ("task", "told", "thresholds"),
    [
        ("TASK_CLASSIFICATION", {}, None),
        ("TASK_CLASSIFICATION", {"cow": 0.2, "hen": 0.7}, (0.7, 0.2)),
        ("TASK_MULTI_LABEL_CLASSIFICATION", {}, (0.5, 0.5)),
        ("TASK_DETECTION", {"cow": 0.3}, (0.5, 0.3)),
    ],
)
def test_thresholds(task: str, told: dict[str, float], thresholds: tuple[float, ...] | None) -> None:
    message = _message()
    message.task = model_pb2.Model.Task.Value(task)
    for label, value in told.items():
        message.thresholds.add(label=label, threshold=value)
    assert trained_model_of(NAME, message).thresholds == thresholds


@pytest.mark.parametrize(("label", "value"), [("goat", 0.5), ("hen", 1.1), ("hen", -0.1), ("hen", math.nan)])
def test_what_is_no_threshold(label: str, value: float) -> None:
    message = _message()
    message.thresholds.add(label=label, threshold=value)
    with pytest.raises(ModelNotServableError, match=f"{label!r}: {value}"):
        trained_model_of(NAME, message)


def test_task_of_another_version() -> None:
    message = _message()
    message.task = 99  # type: ignore[assignment]
    with pytest.raises(ModelNotServableError, match="the task 99, which"):
        trained_model_of(NAME, message)


@pytest.mark.parametrize("runtime", list(Runtime))
def test_configuration_of_a_detector_is_what_training_writes(runtime: Runtime) -> None:
    message = _message(MODEL_FILES[runtime])
    message.task = model_pb2.Model.TASK_DETECTION
    message.artifacts[0].format = model_pb2.Artifact.Format.Value(f"FORMAT_{runtime.upper()}")
    trained = trained_model_of(NAME, message)
    text = triton_config(f"shop.v1.{runtime}.0123456789ab", runtime, 224, 2, finds_boxes=True)
    servable = read_configuration(text.encode(), trained, runtime)
    assert [(output.datatype, output.shape) for output in servable.outputs] == [
        ("FP32", (100, 4)),
        ("FP32", (100,)),
        ("INT32", (100,)),
    ]
    of_a_classifier = triton_config(f"shop.v1.{runtime}.0123456789ab", runtime, 224, 2)
    with pytest.raises(ModelNotServableError, match="output is"):
        read_configuration(of_a_classifier.encode(), trained, runtime)


@pytest.mark.parametrize(("side", "largest_batch"), [(224, 8), (640, 8), (960, 3), (1280, 2), (4096, 1)])
def test_large_images_come_in_small_batches(side: int, largest_batch: int) -> None:
    text = triton_config("shop.v1.onnx.0123456789ab", "onnx", side, 2, finds_boxes=True)
    outputs = outputs_of(Task.DETECTION, 2)
    assert check_configuration(text.encode(), "shop.v1.onnx.0123456789ab", Runtime.ONNX, side, outputs) == largest_batch


def test_configuration(trained: TrainedModel) -> None:
    servable = read_configuration(CONFIGURATION, trained, Runtime.ONNX)
    assert servable == ServableModel(
        "shop.v1.onnx.0123456789ab", "projects/shop/models/v1", Runtime.ONNX, ("hen", "cow"), 224, 16
    )


def test_format_that_was_not_exported(trained: TrainedModel) -> None:
    with pytest.raises(ModelNotServableError, match="not exported for torchscript"):
        triton_name(trained, Runtime.TORCHSCRIPT)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b"0123456789ab", b"../../../etc", "name is"),
        (b"onnxruntime", b"python", "backend is 'python'"),
        (b"224, 224, 3", b"3, 224, 224", "input is"),
        (b"TYPE_UINT8", b"TYPE_FP32", "input is"),
        (b"OUTPUT__0", b"scores", "output is"),
        (b"[ 2 ]", b"[ 3 ]", "output is"),
        (b"max_batch_size: 16", b"", "max_batch_size must be"),
        (b"name:", b"nom:", "cannot be read"),
        (b"name:", b"\xff", "cannot be read"),
    ],
)
def test_wrong_configuration(trained: TrainedModel, old: bytes, new: bytes, problem: str) -> None:
    with pytest.raises(ModelNotServableError, match=problem):
        read_configuration(CONFIGURATION.replace(old, new, 1), trained, Runtime.ONNX)
