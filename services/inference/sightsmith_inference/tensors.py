"""The tensors that pass between this service and a model; the names are those that Triton's LibTorch backend wants."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Outputs = Sequence[npt.NDArray[Any]]
"""What a model gives for n images: one array of shape [n, …] for each of its outputs."""

INPUT = "INPUT__0"
MAX_DETECTIONS = 100
"""How many boxes a detector gives for each image. Those that it has no use for have the score 0."""


@dataclass(frozen=True)
class OutputTensor:
    """Something that a model gives for each image.

    Attributes:
        name: its name in the model.
        datatype: of its numbers, as Triton names it: `FP32` or `INT32`.
        shape: without the batch.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]


def vector_output(length: int) -> tuple[OutputTensor, ...]:
    """The outputs of a model that gives so many numbers for each image, such as scores or features."""
    return (OutputTensor("OUTPUT__0", "FP32", (length,)),)


DETECTOR_OUTPUTS = (
    OutputTensor("OUTPUT__0", "FP32", (MAX_DETECTIONS, 4)),
    OutputTensor("OUTPUT__1", "FP32", (MAX_DETECTIONS,)),
    OutputTensor("OUTPUT__2", "INT32", (MAX_DETECTIONS,)),
)
"""Boxes (left, top, right, bottom in shares of the image's sides), scores from 0 to 1, and positions of labels."""
