"""A tiny real detector, exported as the training service does it: it finds four parts of an image, the brightest first.

The parts are of unequal sizes, so that sides that are mixed up show. How sure it is of a part is its mean brightness;
what is black is not found.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.integration.inference.tiny_models import SIDE, checked, traced

LABELS = ("west", "east")
# Left, top, right, bottom in shares of the image's sides; the label of each is its side of the image.
PARTS = np.array([[0, 0, 0.25, 0.5], [0.25, 0, 1, 0.5], [0, 0.5, 0.25, 1], [0.25, 0.5, 1, 1]], np.float32)
PART_LABELS = np.array([0, 1, 0, 1], np.int32)
SLOTS = 100
_EMPTY = SLOTS - len(PARTS)


def detector_onnx() -> bytes:
    """From uint8 [n, side, side, 3] to boxes, scores and labels."""
    nodes = [
        helper.make_node("Cast", ["INPUT__0"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "colours"], ["grey"], keepdims=0),
        helper.make_node("Flatten", ["grey"], ["flat"]),
        helper.make_node("MatMul", ["flat", "masks"], ["brightness"]),
        helper.make_node("TopK", ["brightness", "count"], ["scores", "order"]),
        helper.make_node("Gather", ["parts", "order"], ["boxes"]),
        helper.make_node("Gather", ["part_labels", "order"], ["labels"]),
        helper.make_node("Pad", ["boxes", "empty_boxes"], ["OUTPUT__0"]),
        helper.make_node("Pad", ["scores", "empty"], ["OUTPUT__1"]),
        helper.make_node("Pad", ["labels", "empty"], ["OUTPUT__2"]),
    ]
    constants = {
        "colours": np.array([3]),
        "masks": _masks(),
        "count": np.array([len(PARTS)]),
        "parts": PARTS,
        "part_labels": PART_LABELS,
        "empty_boxes": np.array([0, 0, 0, 0, _EMPTY, 0]),
        "empty": np.array([0, 0, 0, _EMPTY]),
    }
    tensor = helper.make_tensor_value_info
    outputs = [
        tensor("OUTPUT__0", TensorProto.FLOAT, ["batch", SLOTS, 4]),
        tensor("OUTPUT__1", TensorProto.FLOAT, ["batch", SLOTS]),
        tensor("OUTPUT__2", TensorProto.INT32, ["batch", SLOTS]),
    ]
    inputs = [tensor("INPUT__0", TensorProto.UINT8, ["batch", SIDE, SIDE, 3])]
    initialisers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    return checked(helper.make_graph(nodes, "tiny", inputs, outputs, initialisers))


def detector_torchscript() -> bytes:
    """The same for LibTorch."""
    return traced(_BrightParts())


class _BrightParts(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("masks", torch.from_numpy(_masks()))
        self.register_buffer("parts", torch.from_numpy(PARTS))
        self.register_buffer("part_labels", torch.from_numpy(PART_LABELS))

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        scores, order = (pixels.float().mean(dim=3).flatten(1) @ self.masks).topk(len(PARTS))
        pad = torch.nn.functional.pad
        return (
            pad(self.parts[order], (0, 0, 0, _EMPTY)),
            pad(scores, (0, _EMPTY)),
            pad(self.part_labels[order], (0, _EMPTY)),
        )


def _masks() -> NDArray[np.float32]:
    """One column a part, which gives its mean brightness, 0 to 1, of the flattened pixels."""
    masks = np.zeros((SIDE, SIDE, len(PARTS)), np.float32)
    for index, (left, top, right, bottom) in enumerate((PARTS * SIDE).astype(int)):
        masks[top:bottom, left:right, index] = 1 / (255 * (bottom - top) * (right - left))
    return masks.reshape(SIDE * SIDE, len(PARTS))
