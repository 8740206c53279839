"""What the training service says of a model, and what its `config.pbtxt` says."""

import pytest

from sightsmith.api.training.v1 import model_pb2
from sightsmith.names import ModelName
from sightsmith_inference.errors import ModelNotServableError
from sightsmith_inference.model_configuration import read_configuration, triton_name
from sightsmith_inference.models import Runtime, ServableModel
from sightsmith_inference.trained_models import TrainedModel, trained_model_of

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
    return model_pb2.Model(labels=["hen", "cow"], image_side=224, artifacts=[artifact])


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
