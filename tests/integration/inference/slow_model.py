"""A tiny classifier that takes its time: the mean colour, and a product of large matrices that changes nothing."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tests.integration.inference.tiny_models import LABELS, SIDE, checked


def slow_classifier(size: int) -> bytes:
    """As an ONNX file; each batch takes a product of `size` × `size` matrices."""
    generator = np.random.default_rng(5)
    nodes = [
        helper.make_node("Cast", ["INPUT__0"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "sides"], ["means"], keepdims=0),
        helper.make_node("MatMul", ["means", "weights"], ["logits"]),
        # By way of the pixels, so that it is not worked out once and for all.
        helper.make_node("ReduceMean", ["means", "both"], ["light"], keepdims=0),
        helper.make_node("Mul", ["large", "light"], ["lit"]),
        helper.make_node("MatMul", ["lit", "large"], ["product"]),
        helper.make_node("ReduceMean", ["product", "both"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["logits", "nothing"], ["sum"]),
        helper.make_node("Softmax", ["sum"], ["OUTPUT__0"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([1, 2], np.int64), "sides"),
        numpy_helper.from_array(np.array([0, 1], np.int64), "both"),
        numpy_helper.from_array(generator.normal(size=(3, len(LABELS))).astype(np.float32) / 64, "weights"),
        numpy_helper.from_array(generator.normal(size=(size, size)).astype(np.float32), "large"),
        numpy_helper.from_array(np.array(0, np.float32), "zero"),
    ]
    inputs = [helper.make_tensor_value_info("INPUT__0", TensorProto.UINT8, ["batch", SIDE, SIDE, 3])]
    outputs = [helper.make_tensor_value_info("OUTPUT__0", TensorProto.FLOAT, ["batch", len(LABELS)])]
    return checked(helper.make_graph(nodes, "slow", inputs, outputs, constants))
