"""A tiny real backbone, published as the training service does it."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sightsmith.images import decode_square
from sightsmith_training.triton_config import triton_config

SIDE = 8
FEATURES = 3


def mean_colour() -> bytes:
    """From uint8 [n, side, side, 3] to the mean of each colour, 0 to 1."""
    nodes = [
        helper.make_node("Cast", ["INPUT__0"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["means"], keepdims=0),
        helper.make_node("Mul", ["means", "scale"], ["OUTPUT__0"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([1, 2], dtype=np.int64), "axes"),
        numpy_helper.from_array(np.array(1 / 255, dtype=np.float32), "scale"),
    ]
    inputs = [helper.make_tensor_value_info("INPUT__0", TensorProto.UINT8, ["batch", SIDE, SIDE, 3])]
    outputs = [helper.make_tensor_value_info("OUTPUT__0", TensorProto.FLOAT, ["batch", FEATURES])]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def publish(objects: Path, backbone: str, model: bytes) -> str:
    """Puts a backbone where inference looks for it; returns its name."""
    folder = objects / "backbones/published"
    triton_model = f"backbone.{backbone}.{hashlib.sha256(model).hexdigest()[:12]}"
    config = triton_config(triton_model, "onnx", SIDE, FEATURES).encode()
    files = []
    for path, data in (("config.pbtxt", config), ("1/model.onnx", model)):
        digest = hashlib.sha256(data).hexdigest()
        (folder / backbone).mkdir(parents=True, exist_ok=True)
        (folder / backbone / digest).write_bytes(data)
        key = f"backbones/published/{backbone}/{digest}"
        files.append({"path": path, "key": key, "sha256": digest, "size_bytes": len(data)})
    descriptor = {
        "name": f"backbones/{backbone}",
        "network": "mean-colour",
        "licence": "Apache-2.0",
        "image_side": SIDE,
        "features": FEATURES,
        "triton_model": triton_model,
        "files": files,
    }
    draft = folder / f"{backbone}.draft"
    draft.write_text(json.dumps(descriptor))
    draft.rename(folder / f"{backbone}.json")
    return f"backbones/{backbone}"


def embedding(image: bytes) -> list[float]:
    """What the backbone must answer."""
    return [float(value) / 255 for value in decode_square(image, SIDE).astype(np.float64).mean(axis=(0, 1))]
