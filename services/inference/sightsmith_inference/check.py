"""The last look at a model before people are sent to it."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sightsmith_inference.errors import ModelNotServableError
from sightsmith_inference.findings import read_findings
from sightsmith_inference.models import ServableModel, Task
from sightsmith_inference.tensors import Outputs
from sightsmith_inference.triton import ModelRunner

# Single precision sums up thousands of labels to within this of 1.
_SUM_TOLERANCE = 1e-3
# The same for numbers that a graph has calculated to lie between 0 and 1.
_ROUNDING = 1e-5


async def check(triton: ModelRunner, model: ServableModel, timeout_seconds: float) -> None:
    """Has a loaded model answer for black images: one, two, four, … at once, up to the largest batch it takes.

    Raises:
        ModelNotServableError: if it does not answer, or not with what its task asks for: probabilities that sum to 1,
            scores from 0 to 1, or boxes in shares of the image's sides with such scores and labels that it has.
        UnavailableError: if Triton cannot be reached.
    """
    for count in _batch_sizes(model.max_batch_size):
        pixels = np.zeros((count, model.image_side, model.image_side, 3), np.uint8)
        outputs = await triton.infer(model, pixels, timeout_seconds)
        if problem := problem_of(model.task, outputs):
            raise ModelNotServableError(f"{model.triton_model} answers a batch of {count} with {problem}")
        read_findings(model, outputs)


def _batch_sizes(largest: int) -> Sequence[int]:
    """1, 2, 4, … and the largest."""
    return sorted({2**power for power in range(largest.bit_length())} | {largest})


def problem_of(task: Task, outputs: Outputs) -> str | None:
    """What is wrong with a model's answer; None if nothing is.

    Args:
        task: what the model does.
        outputs: finite, of the shapes that go with the task.
    """
    match task, outputs:
        case Task.DETECTION, (boxes, scores, _):
            return _problem_of_scores(scores) or _problem_of_boxes(boxes, scores)
        case Task.MULTI_LABEL_CLASSIFICATION, (scores,):
            return _problem_of_scores(scores)
    return _problem_of_probabilities(outputs[0])


def _problem_of_probabilities(scores: npt.NDArray[np.float32]) -> str | None:
    sums = scores.sum(axis=1, dtype=np.float64)
    if (scores >= 0).all() and np.abs(sums - 1).max() <= _SUM_TOLERANCE:
        return None
    return f"scores that are no probabilities: they sum to {', '.join(f'{value:.4g}' for value in sums)}"


def _problem_of_scores(scores: npt.NDArray[np.float32]) -> str | None:
    if _are_shares(scores).all():
        return None
    return f"scores that are not from 0 to 1: {scores.min():.4g} to {scores.max():.4g}"


def _problem_of_boxes(boxes: npt.NDArray[np.float32], scores: npt.NDArray[np.float32]) -> str | None:
    found = boxes[scores > 0]
    is_right = _are_shares(found).all(axis=1) & (found[:, :2] <= found[:, 2:]).all(axis=1)
    if is_right.all():
        return None
    return f"boxes that are not left, top, right, bottom from 0 to 1: {found[~is_right][0].tolist()}"


def _are_shares(numbers: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    return (numbers >= -_ROUNDING) & (numbers <= 1 + _ROUNDING)
