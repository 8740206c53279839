"""From the numbers that a model gives to what it says of each image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sightsmith_inference.errors import ModelNotServableError
from sightsmith_inference.models import ServableModel, Task
from sightsmith_inference.tensors import Outputs


@dataclass(frozen=True)
class Findings:
    """Everything that a model says of one image, the surest first.

    Attributes:
        confidences: shape [findings], 0 to 1; rounding may carry one a hair beyond.
        labels: shape [findings]; positions in the model's labels.
        boxes: shape [findings, 4]; left, top, right, bottom in shares of the sides of the upright image, 0 to 1. None
            if the labels go for the whole image.
    """

    confidences: npt.NDArray[np.float32]
    labels: npt.NDArray[np.integer[Any]]
    boxes: npt.NDArray[np.float32] | None = None

    @property
    def best(self) -> float:
        """The highest confidence; 0 if nothing is found."""
        return float(self.confidences[0]) if len(self.confidences) else 0.0

    def of_whole_image(self) -> "Findings":
        """Each label once and without its place, with the highest confidence that it has."""
        if self.boxes is None:
            return self
        _, firsts = np.unique(self.labels, return_index=True)
        firsts.sort()
        return Findings(self.confidences[firsts], self.labels[firsts])


def read_findings(model: ServableModel, outputs: Outputs) -> Sequence[Findings]:
    """Reads what a model gives for some images.

    Args:
        model: the model.
        outputs: as `model.outputs` describes them.

    Returns:
        One for each image, in their order.

    Raises:
        ModelNotServableError: if a detector finds a label that it does not have.
    """
    if model.task is Task.DETECTION:
        return [_objects(model, *found) for found in zip(*outputs, strict=True)]
    (scores,) = outputs
    orders = np.argsort(-scores, axis=1, kind="stable")
    return [Findings(row[order], order) for row, order in zip(scores, orders, strict=True)]


def _objects(
    model: ServableModel,
    boxes: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int32],
) -> Findings:
    """What a detector found on one image. It saw the image squashed to a square: shares of both are the same."""
    inside = np.clip(boxes, 0, 1)
    has_area = (inside[:, :2] < inside[:, 2:]).all(axis=1)
    found = np.flatnonzero((scores > 0) & has_area)
    found = found[np.argsort(-scores[found], kind="stable")]
    if (unknown := (labels[found] < 0) | (labels[found] >= len(model.labels))).any():
        position = int(labels[found][unknown][0])
        raise ModelNotServableError(f"{model.triton_model} found label {position} of {len(model.labels)}")
    return Findings(scores[found], labels[found], inside[found])
