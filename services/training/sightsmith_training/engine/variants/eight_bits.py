"""Eight-bit integers: a quarter of the size, and on a CPU about half the time or less.

Static quantisation (Jacob et al. 2018, sections 2 and 3): weights and the values between layers become integers whose
scales are found beforehand, those of values from the lowest and the highest that some training images give.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from sightsmith_training.engine.batches import images_at_once
from sightsmith_training.engine.contract import INPUT_NAME
from sightsmith_training.engine.samples import Pixels
from sightsmith_training.engine.variants.graph_parts import GraphParts


@dataclass(frozen=True)
class Recipe:
    """Which layers keep 32 bits.

    Attributes:
        description: for people.
        keeps_first: the layers that read the picture. There are few of them, and an error there reaches everything.
        keeps_last: the layers whose answers leave the body.
    """

    description: str
    keeps_first: bool = False
    keeps_last: bool = False


RECIPES = (
    Recipe("all convolutions in eight bits"),
    Recipe("all convolutions but the first in eight bits", keeps_first=True),
    Recipe("all convolutions but the first and the last in eight bits", keeps_first=True, keeps_last=True),
)
"""In the order in which they are tried: each loses less and gains less than the one before."""


class Quantiser:
    """Quantises one graph by any number of recipes; the images are run once."""

    def __init__(self, parts: GraphParts, calibration: Pixels, folder: Path) -> None:
        """Takes the graph, training images [images, side, side, 3], and an empty folder for its own files."""
        self._parts = parts
        self._calibration = calibration
        self._body = folder / "body.onnx"
        self._ranges = folder / "ranges.json"
        self._quantised = folder / "quantised.onnx"
        body = onnx.ModelProto()
        body.CopyFrom(parts.body)
        add_pre_process_metadata(body)  # It is: see `GraphParts`. Without a word of it the library warns.
        onnx.save(body, self._body)

    def quantise(self, recipe: Recipe) -> bytes:
        """The serialised model. The same arguments give the same bytes.

        Weights have seven bits, not eight, except in depthwise layers: CPUs without VNNI add two products of eight bits
        in sixteen, which overflows. The model would then say something else on another CPU than on the one where it was
        judged. The kernels of depthwise layers add in 32 bits, and those layers need every bit they can get.
        """
        quantize_static(
            self._body,
            self._quantised,
            _Reader(self._calibration),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_kept_layers(self._parts.body, recipe),
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"TensorQuantOverrides": _all_bits_for_depthwise_layers(self._parts.body)},
            calibration_cache_path=self._ranges,
        )
        return self._parts.with_body(onnx.load(self._quantised))


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, pixels: Pixels) -> None:
        at_once = images_at_once(pixels.shape[1])
        self._batches: Iterator[Pixels] = (
            pixels[start : start + at_once].copy() for start in range(0, len(pixels), at_once)
        )

    def get_next(self) -> dict[str, Pixels] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT_NAME: batch}


def _kept_layers(body: onnx.ModelProto, recipe: Recipe) -> list[str]:
    nodes = body.graph.node
    layers = [node for node in nodes if node.op_type in ("Conv", "ConvTranspose", "MatMul")]
    kept = _first_layers(body) if recipe.keeps_first else []
    if recipe.keeps_last:
        leaving = {output.name for output in body.graph.output}
        leaving |= {node.input[0] for node in nodes if node.output[0] in leaving and node not in layers}
        kept += [node.name for node in layers if node.output[0] in leaving]
    return kept


def _first_layers(body: onnx.ModelProto) -> list[str]:
    """The layers that pixels reach through no other layer; several where backbones stand side by side."""
    reached = {INPUT_NAME}
    first = []
    for node in body.graph.node:
        if reached.isdisjoint(node.input):
            continue
        if node.op_type in ("Conv", "ConvTranspose", "MatMul"):
            first.append(node.name)
        else:
            reached.update(node.output)
    return first


def _all_bits_for_depthwise_layers(body: onnx.ModelProto) -> dict[str, list[dict[str, Any]]]:
    shapes = {tensor.name: tuple(tensor.dims) for tensor in body.graph.initializer}
    overrides = {}
    for node in body.graph.node:
        if node.op_type != "Conv" or node.input[1] not in shapes:
            continue
        groups = next((helper.get_attribute_value(each) for each in node.attribute if each.name == "group"), 1)
        filters, depth, *_ = shapes[node.input[1]]
        if groups > 1 and depth == 1 and filters == groups:
            overrides[node.input[1]] = [{"axis": 0, "reduce_range": False}]
    return overrides
