"""Small networks exported as trainings export them, and pictures that they can tell apart."""

from collections.abc import Callable
from functools import cache

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from sightsmith_training.engine.catalogue import IMAGE_SIDE
from sightsmith_training.engine.classification.heads import fit_heads
from sightsmith_training.engine.detection.detector import Detector
from sightsmith_training.engine.detection.detector_export import export_detector
from sightsmith_training.engine.detection.network import NanoDet
from sightsmith_training.engine.exports import compose_classifier, export_backbone
from sightsmith_training.engine.heads import even_out
from sightsmith_training.engine.network import PixelBackbone
from sightsmith_training.engine.samples import Pixels
from sightsmith_training.engine.variants.running import open_model, run_all

LABELS = ("coarse", "fine", "plain")
DETECTOR_SIDE = 64


def pictures(each: int, seed: int) -> tuple[Pixels, np.ndarray]:
    """Noise of three grains, `each` pictures of every label, and their labels."""
    random = np.random.default_rng(seed)
    grains = (24, 2, IMAGE_SIDE)
    squares = [_noise(random, grain) for grain in grains for _ in range(each)]
    return np.stack(squares), np.repeat(np.arange(len(LABELS)), each)


def _noise(random: np.random.Generator, grain: int) -> np.ndarray:
    tiles = random.integers(0, 256, (IMAGE_SIDE // grain, IMAGE_SIDE // grain, 3), dtype=np.uint8)
    return tiles.repeat(grain, axis=0).repeat(grain, axis=1)


class _Separable(nn.Module):
    """The layers of a mobile network: a stem, a depthwise layer, a pointwise one and a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 4, 1), nn.ReLU6())
        self.depthwise = nn.Sequential(nn.Conv2d(16, 16, 3, 1, 1, groups=16), nn.ReLU6())
        self.pointwise = nn.Conv2d(16, 16, 1)
        self.last = nn.Sequential(nn.Conv2d(16, 64, 1), nn.ReLU6())

    def forward(self, planes: Tensor) -> Tensor:
        stem = self.stem(planes)
        return self.last(stem + self.pointwise(self.depthwise(stem))).mean((2, 3))


@cache
def classifier() -> bytes:
    torch.manual_seed(0)
    backbone = export_backbone(PixelBackbone(_Separable()).eval())
    pixels, labels = pictures(10, seed=0)
    (features,) = run_all(open_model(backbone), pixels, 1)
    (head,) = fit_heads(even_out(features), np.eye(len(LABELS), dtype=bool)[labels], "softmax", [1.0])
    return compose_classifier([("separable", backbone)], head, LABELS)


@cache
def detector() -> bytes:
    torch.manual_seed(0)
    return export_detector(Detector(NanoDet(2), DETECTOR_SIDE), ["a", "b"])


def with_weights(model: bytes, change: Callable[[np.ndarray], np.ndarray]) -> bytes:
    """The model with other weights in its convolutions."""
    loaded = onnx.load_from_string(model)
    kernels = {node.input[1] for node in loaded.graph.node if node.op_type == "Conv"}
    for tensor in loaded.graph.initializer:
        if tensor.name in kernels:
            tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor)), tensor.name))
    return loaded.SerializeToString()


def without_layers() -> bytes:
    """A graph that only takes the mean colour."""
    pixels = helper.make_tensor_value_info("INPUT__0", TensorProto.UINT8, ["batch", 8, 8, 3])
    scores = helper.make_tensor_value_info("OUTPUT__0", TensorProto.FLOAT, ["batch", 3])
    nodes = [
        helper.make_node("Cast", ["INPUT__0"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["numbers"], ["OUTPUT__0"], axes=[1, 2], keepdims=0),
    ]
    graph = helper.make_graph(nodes, "mean", [pixels], [scores])
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
