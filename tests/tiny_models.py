"""Models of a few nodes that see colours, as files that onnxruntime runs like any exported one."""

import io
import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from sightsmith_training.engine.contract import INPUT_NAME, OUTPUT_NAME

COLOURS = ("blue", "green", "red")
SIDE = 8
# Where the tiny detector looks, as shares of the sides: left, top, right, bottom.
HALVES = ((0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0))
_CHANNELS = {"red": 0, "green": 1, "blue": 2}
_OPSET = 17


def colour_classifier() -> bytes:
    """Gives each of `COLOURS` its share of the picture's light, by a softmax."""
    order = np.array([_CHANNELS[colour] for colour in COLOURS])
    nodes = [
        helper.make_node("Cast", [INPUT_NAME], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["means"], axes=[1, 2], keepdims=0),
        helper.make_node("Gather", ["means", "order"], ["ordered"], axis=1),
        helper.make_node("Mul", ["ordered", "sharpness"], ["logits"]),
        helper.make_node("Softmax", ["logits"], [OUTPUT_NAME], axis=1),
    ]
    weights = {"order": order, "sharpness": np.array(0.02, np.float32)}
    return _model(nodes, weights, {OUTPUT_NAME: (TensorProto.FLOAT, ["batch", len(COLOURS)])})


def red_half_detector() -> bytes:
    """Finds a box with the third label in each half of the picture, as sure as the half is red."""
    halves = [
        node
        for number, (start, stop) in enumerate(((0, SIDE // 2), (SIDE // 2, SIDE)))
        for node in (
            helper.make_node("Slice", ["pixels", f"start{number}", f"stop{number}", "axes"], [f"half{number}"]),
            helper.make_node("ReduceMean", [f"half{number}"], [f"score{number}"], axes=[1, 2, 3], keepdims=0),
        )
    ]
    nodes = [
        helper.make_node("Cast", [INPUT_NAME], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["floats", "scale"], ["pixels"]),
        *halves,
        helper.make_node("Unsqueeze", ["score0", "one"], ["column0"]),
        helper.make_node("Unsqueeze", ["score1", "one"], ["column1"]),
        helper.make_node("Concat", ["column0", "column1"], ["SCORES"], axis=1),
        helper.make_node("Shape", ["score0"], ["batch_size"]),
        helper.make_node("Concat", ["batch_size", "box_shape"], ["boxes_shape"], axis=0),
        helper.make_node("Expand", ["halves", "boxes_shape"], ["BOXES"]),
        helper.make_node("Concat", ["batch_size", "label_shape"], ["labels_shape"], axis=0),
        helper.make_node("Expand", ["third", "labels_shape"], ["LABELS"]),
    ]
    weights = {
        # Red without the light of the others: black and white score 0.
        "scale": np.array([[[[3 / 255, -3 / 255, 0]]]], np.float32),
        "axes": np.array([2]),
        "start0": np.array([0]),
        "stop0": np.array([SIDE // 2]),
        "start1": np.array([SIDE // 2]),
        "stop1": np.array([SIDE]),
        "one": np.array([1]),
        "box_shape": np.array([2, 4]),
        "label_shape": np.array([2]),
        "halves": np.array([HALVES], np.float32),
        "third": np.array([[2]], np.int32),
    }
    outputs = {
        "BOXES": (TensorProto.FLOAT, ["batch", 2, 4]),
        "SCORES": (TensorProto.FLOAT, ["batch", 2]),
        "LABELS": (TensorProto.INT32, ["batch", 2]),
    }
    return _model(nodes, weights, outputs)


def picture(left: str, right: str | None = None, width: int = 64, height: int = 48, shade: int = 0) -> bytes:
    """A PNG of one colour or of two halves; pictures of other shades have other bytes."""
    image = Image.new("RGB", (width, height), left)
    image.paste(Image.new("RGB", (width - width // 2, height), right or left), (width // 2, 0))
    image.putpixel((0, 0), (shade % 256, shade // 256, 0))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _model(nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray], outputs: dict[str, tuple[int, list]]) -> bytes:
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, ["batch", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info(name, *kind) for name, kind in outputs.items()],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)
    helper.set_model_props(model, {"labels": json.dumps(COLOURS)})
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data
