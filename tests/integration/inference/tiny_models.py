"""Tiny real classifiers, exported and described as the training service does it."""

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from sightsmith.api.training.v1 import model_pb2
from sightsmith.images import decode_square
from sightsmith_training.triton_config import triton_config, triton_model_name

Activation = Literal["Softmax", "Sigmoid"]

SIDE = 8
LABELS = ("dark", "green", "light")
MODEL_FILES = {
    "onnx": "1/model.onnx",
    "onnx_fp16": "1/model.onnx",
    "onnx_int8": "1/model.onnx",
    "torchscript": "1/model.pt",
}


@dataclass(frozen=True)
class TinyModel:
    """A classifier by mean colour: softmax(mean × weights), or sigmoid, where the labels are independent."""

    onnx: bytes
    torchscript: bytes

    @classmethod
    def of_seed(cls, seed: int, activation: Activation = "Softmax") -> "TinyModel":
        weights = np.random.default_rng(seed).normal(size=(3, len(LABELS))).astype(np.float32) / np.float32(64)
        return cls(_onnx(weights, activation), _torchscript(weights, activation))

    def scores(self, image: bytes) -> dict[str, float]:
        """What onnxruntime answers in this process."""
        session = onnxruntime.InferenceSession(self.onnx, providers=["CPUExecutionProvider"])
        (scores,) = session.run(["OUTPUT__0"], {"INPUT__0": decode_square(image, SIDE)[None]})
        return dict(zip(LABELS, map(float, scores[0]), strict=True))


def model_message(name: str, files: dict[str, bytes], objects: Path, **fields: Any) -> model_pb2.Model:
    """Puts exported files (by format) into the object store's folder, and describes them as a model version."""
    fields = {"task": model_pb2.Model.TASK_CLASSIFICATION, "labels": LABELS, **fields}
    model = model_pb2.Model(name=name, image_side=SIDE, **fields)
    finds_boxes = model.task == model_pb2.Model.TASK_DETECTION
    _, project, _, version = name.split("/")
    for file_format, content in files.items():
        triton_name = triton_model_name(project, version, file_format, hashlib.sha256(content).hexdigest())
        config = triton_config(triton_name, file_format, SIDE, len(model.labels), finds_boxes=finds_boxes)
        for path, data in (("config.pbtxt", config.encode()), (MODEL_FILES[file_format], content)):
            model.artifacts.append(_artifact(file_format, path, data, f"models/{project}/{version}", objects))
    return model


def _artifact(file_format: str, path: str, data: bytes, prefix: str, objects: Path) -> model_pb2.Artifact:
    key = f"{prefix}/{file_format}/{path}"
    (objects / key).parent.mkdir(parents=True, exist_ok=True)
    (objects / key).write_bytes(data)
    return model_pb2.Artifact(
        format=model_pb2.Artifact.Format.Value(f"FORMAT_{file_format.upper()}"),
        path=path,
        key=key,
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
    )


def _onnx(weights: NDArray[np.float32], activation: Activation) -> bytes:
    nodes = [
        helper.make_node("Cast", ["INPUT__0"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["means"], keepdims=0),
        helper.make_node("MatMul", ["means", "weights"], ["logits"]),
        helper.make_node(activation, ["logits"], ["OUTPUT__0"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([1, 2], dtype=np.int64), "axes"),
        numpy_helper.from_array(weights, "weights"),
    ]
    inputs = [helper.make_tensor_value_info("INPUT__0", TensorProto.UINT8, ["batch", SIDE, SIDE, 3])]
    outputs = [helper.make_tensor_value_info("OUTPUT__0", TensorProto.FLOAT, ["batch", len(LABELS)])]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    return checked(graph)


def checked(graph: onnx.GraphProto) -> bytes:
    """A graph as an ONNX file."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


class _MeanColour(torch.nn.Module):
    def __init__(self, weights: NDArray[np.float32], activation: Activation) -> None:
        super().__init__()
        self.activation = torch.nn.Softmax(dim=1) if activation == "Softmax" else torch.nn.Sigmoid()
        self.weights = torch.nn.Parameter(torch.from_numpy(weights))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.activation(pixels.float().mean(dim=(1, 2)) @ self.weights)


def _torchscript(weights: NDArray[np.float32], activation: Activation) -> bytes:
    return traced(_MeanColour(weights, activation))


def traced(network: torch.nn.Module) -> bytes:
    """A network as a TorchScript file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example = torch.zeros(2, SIDE, SIDE, 3, dtype=torch.uint8)
        traced = torch.jit.trace(network.eval(), example)  # type: ignore[no-untyped-call]
        buffer = io.BytesIO()
        torch.jit.save(traced, buffer)
        return buffer.getvalue()
