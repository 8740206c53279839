"""Sixteen-bit floating point: half the size, and made for the tensor cores of GPUs."""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.transformers.float16 import convert_float_to_float16

from sightsmith_training.engine.variants.graph_parts import GraphParts


def to_half_precision(parts: GraphParts) -> bytes:
    """Converts the body to float16 (IEEE 754 binary16). Inputs stay uint8, outputs float32.

    Returns:
        The serialised model.
    """
    return parts.with_body(convert_float_to_float16(_copy(parts.body), keep_io_types=True))


def rounded_to_half_precision(parts: GraphParts) -> bytes:
    """The graph in float32, with each weight and each value of the body rounded to float16.

    It says on a CPU what a GPU makes of the graph in float16: sums of products in 32 bits, answers in 16. The graph in
    float16 itself does not: a CPU computes it in 32 bits throughout and drops the roundings in between, so that not
    even values beyond the largest of float16, 65504, would show.

    Returns:
        The serialised model.
    """
    body = _copy(parts.body)
    graph = body.graph
    floats = {value.name for value in (*graph.value_info, *graph.output) if _is_float(value)}
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(_rounded(tensor))
    nodes = [each for node in graph.node for each in _with_rounding(node, floats)]
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    return parts.with_body(body)


def _copy(body: onnx.ModelProto) -> onnx.ModelProto:
    copied = onnx.ModelProto()
    copied.CopyFrom(body)
    return copied


def _is_float(value: onnx.ValueInfoProto) -> bool:
    return bool(value.type.tensor_type.elem_type == TensorProto.FLOAT)


def _rounded(tensor: onnx.TensorProto) -> onnx.TensorProto:
    largest = float(np.finfo(np.float16).max)  # Where the converter stops too.
    values = np.clip(numpy_helper.to_array(tensor), -largest, largest)
    return numpy_helper.from_array(values.astype(np.float16).astype(np.float32), tensor.name)


def _with_rounding(node: onnx.NodeProto, floats: set[str]) -> Iterator[onnx.NodeProto]:
    """The node, then for each float output two casts, the second of which bears the output's name."""
    outputs = [name for name in node.output if name in floats]
    node.output[:] = [f"{name}/exact" if name in floats else name for name in node.output]
    yield node
    for name in outputs:
        yield helper.make_node("Cast", [f"{name}/exact"], [f"{name}/half"], f"{name}/down", to=TensorProto.FLOAT16)
        yield helper.make_node("Cast", [f"{name}/half"], [name], f"{name}/up", to=TensorProto.FLOAT)
