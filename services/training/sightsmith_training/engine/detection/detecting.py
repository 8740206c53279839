"""Runs a detector over many images, and says in pixels what it found."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from torch import nn

from sightsmith_training.engine.contract import INPUT_NAME
from sightsmith_training.engine.judging.answers import Detections
from sightsmith_training.engine.samples import Pixels

Answers = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int32]]
"""Boxes, scores, labels of a batch: see `Detector.forward`."""

Finder = Callable[[Pixels], Answers]

_PIXELS_AT_ONCE = 4 * 416**2  # On a CPU small batches are faster per image: their activations stay in the cache.
_MOST_AT_ONCE = 4
_LEAST_SCORE = 0.005  # Below this nothing is told; no curve that people read reaches down there.


def network_finder(detector: nn.Module) -> Finder:
    """Runs a `Detector`, eager or traced, where it is."""
    device = next(detector.parameters()).device

    def find(pixels: Pixels) -> Answers:
        with torch.inference_mode():
            boxes, scores, labels = detector(torch.from_numpy(pixels).to(device))
        return boxes.cpu().numpy(), scores.cpu().numpy(), labels.cpu().numpy()

    return find


def onnx_finder(model: bytes, threads: int) -> Finder:
    """Runs an exported model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def find(pixels: Pixels) -> Answers:
        boxes, scores, labels = session.run(None, {INPUT_NAME: pixels})
        return boxes, scores, labels

    return find


def detect(
    find: Finder,
    squares: Pixels,
    sizes: Sequence[tuple[int, int]],
    advance: Callable[[float], None] = lambda share: None,
) -> list[Detections]:
    """Finds the objects on images.

    Args:
        find: runs one batch.
        squares: the images squashed to squares, shape [images, side, side, 3].
        sizes: width and height of each image in pixels, upright.
        advance: called with the share of the images that are done.

    Returns:
        What was found on each image, in its pixels.
    """
    found = []
    at_once = max(1, min(_MOST_AT_ONCE, round(_PIXELS_AT_ONCE / squares.shape[1] ** 2)))
    for start in range(0, len(squares), at_once):
        boxes, scores, labels = find(np.ascontiguousarray(squares[start : start + at_once]))
        batch = zip(boxes, scores, labels, sizes[start : start + at_once], strict=True)
        found += [_in_pixels(*answer) for answer in batch]
        advance(len(found) / len(squares))
    return found


def _in_pixels(
    boxes: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int32],
    size: tuple[int, int],
) -> Detections:
    told = scores >= _LEAST_SCORE
    return Detections(
        boxes=boxes[told].astype(np.float64) * np.array([*size, *size]),
        labels=labels[told].astype(np.intp),
        confidences=scores[told].astype(np.float64),
    )
