"""Sixteen-bit floating point: half the size, and on a GPU with tensor cores about twice as fast."""

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16

from sightsmith_training.engine.variants.graph_parts import GraphParts


def to_half_precision(parts: GraphParts) -> bytes:
    """Converts the body to float16 (IEEE 754 binary16). Inputs stay uint8, outputs float32.

    Returns:
        The serialised model.
    """
    body = onnx.ModelProto()
    body.CopyFrom(parts.body)
    # The converter's own boundary casts are what joins the body to the rest.
    return parts.with_body(convert_float_to_float16(body, keep_io_types=True))
