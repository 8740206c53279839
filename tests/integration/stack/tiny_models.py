"""Tiny image classifiers for Triton, as ONNX and as TorchScript files that give equal scores."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SIDE = 8
LABELS = 3
INPUT = "INPUT__0"
OUTPUT = "OUTPUT__0"

_WEIGHTS: NDArray[np.float32] = np.random.default_rng(7).normal(size=(3, LABELS)).astype(np.float32)


def images(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Random images, uint8 [count, SIDE, SIDE, 3]."""
    return np.random.default_rng(seed).integers(0, 256, size=(count, SIDE, SIDE, 3), dtype=np.uint8)


def expected_scores(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What both models answer, float32 [count, LABELS]: the mean colour times a matrix."""
    scores: NDArray[np.float32] = pixels.astype(np.float32).mean(axis=(1, 2)) @ _WEIGHTS
    return scores


def add_model(repository: Path, name: str, backend: str, *, instance_group: str = "", parameters: str = "") -> None:
    """Puts a model with a stock `config.pbtxt` into a model repository."""
    version = repository / name / "1"
    version.mkdir(parents=True)
    if backend == "onnxruntime":
        _write_onnx(version / "model.onnx")
    else:
        _write_torchscript(version / "model.pt")
    (repository / name / "config.pbtxt").write_text(_config(backend) + instance_group + parameters)


def add_lookup_model(repository: Path, name: str) -> None:
    """Puts an ONNX model into a repository that answers indices 0 to 2 with themselves and fails at any other."""
    version = repository / name / "1"
    version.mkdir(parents=True)
    nodes = [
        helper.make_node("Cast", [INPUT], ["indices"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "indices"], [OUTPUT]),
    ]
    table = numpy_helper.from_array(np.arange(3, dtype=np.float32), "table")
    _save_onnx(version / "model.onnx", nodes, [table], input_dims=[1], output_dims=[1])
    (repository / name / "config.pbtxt").write_text(f"""
backend: "onnxruntime"
max_batch_size: 8
input [ {{ name: "{INPUT}" data_type: TYPE_UINT8 dims: [ 1 ] }} ]
output [ {{ name: "{OUTPUT}" data_type: TYPE_FP32 dims: [ 1 ] }} ]
dynamic_batching {{ preferred_batch_size: [ 3 ] max_queue_delay_microseconds: 500000 }}
instance_group [ {{ count: 1 }} ]
""")


def _config(backend: str) -> str:
    return f"""
backend: "{backend}"
max_batch_size: 8
input [ {{ name: "{INPUT}" data_type: TYPE_UINT8 dims: [ {SIDE}, {SIDE}, 3 ] }} ]
output [ {{ name: "{OUTPUT}" data_type: TYPE_FP32 dims: [ {LABELS} ] }} ]
dynamic_batching {{ max_queue_delay_microseconds: 100000 }}
model_warmup [ {{
  name: "zeros"
  batch_size: 1
  inputs {{ key: "{INPUT}" value: {{ data_type: TYPE_UINT8 dims: [ {SIDE}, {SIDE}, 3 ] zero_data: true }} }}
}} ]
"""


def _write_onnx(path: Path) -> None:
    nodes = [
        helper.make_node("Cast", [INPUT], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["means"], keepdims=0),
        helper.make_node("MatMul", ["means", "weights"], [OUTPUT]),
    ]
    constants = [
        numpy_helper.from_array(np.array([1, 2], dtype=np.int64), "axes"),
        numpy_helper.from_array(_WEIGHTS, "weights"),
    ]
    _save_onnx(path, nodes, constants, input_dims=[SIDE, SIDE, 3], output_dims=[LABELS])


def _save_onnx(
    path: Path,
    nodes: list[onnx.NodeProto],
    constants: list[onnx.TensorProto],
    *,
    input_dims: list[int],
    output_dims: list[int],
) -> None:
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["batch", *input_dims])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", *output_dims])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, path)


class _MeanColour(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weights = torch.nn.Parameter(torch.from_numpy(_WEIGHTS))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.float().mean(dim=(1, 2)) @ self.weights


def _write_torchscript(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is deprecated", category=FutureWarning)
        traced = torch.jit.trace(_MeanColour().eval(), torch.from_numpy(images(2)))  # type: ignore[no-untyped-call]
    traced.save(path)
