"""Runs a detector over many images, and says in pixels what it found."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import onnxruntime

from sightsmith_training.engine.batches import images_at_once
from sightsmith_training.engine.contract import INPUT_NAME
from sightsmith_training.engine.judging.answers import Detections
from sightsmith_training.engine.samples import Pixels

if TYPE_CHECKING:
    from torch import nn

Answers = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int32]]
"""Boxes, scores, labels of a batch: see `Detector.forward`."""

Finder = Callable[[Pixels], Answers]

_LEAST_SCORE = 0.001  # Below this nothing is told; no curve that people read reaches down there.


def network_finder(detector: "nn.Module") -> Finder:
    """Runs a `Detector`, eager or traced, where it is."""
    import torch  # Not with the module: who runs exported models does without.

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
    found: list[Detections] = []
    at_once = images_at_once(squares.shape[1])
    for start in range(0, len(squares), at_once):
        answers = find(np.ascontiguousarray(squares[start : start + at_once]))
        found += in_pixels(answers, sizes[start : start + at_once])
        advance(len(found) / len(squares))
    return found


def in_pixels(answers: Answers, sizes: Sequence[tuple[int, int]]) -> list[Detections]:
    """What was found on each of some images, in its pixels; `sizes` are their widths and heights."""
    return [_in_pixels(*answer) for answer in zip(*answers, sizes, strict=True)]


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
