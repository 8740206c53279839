"""What is labelled on an image, and what a model says of it: the two things that every figure is made from."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Boxes = npt.NDArray[np.float64]
"""Shape [boxes, 4]: left, top, right, bottom in pixels of the upright image."""

Positions = npt.NDArray[np.intp]
"""Shape [n]: positions of labels in the model's list of labels."""


@dataclass(frozen=True)
class LabelledImage:
    """A judged image as people labelled it.

    Attributes:
        image: resource name of the image.
        source: where it came from.
        width: in pixels, upright.
        height: in pixels, upright.
        labels: of the whole image; none, one or several. Empty where a detector is judged.
        boxes: of its objects; shape [0, 4] where a classifier is judged.
        box_labels: shape [boxes].
    """

    image: str
    source: str
    width: int
    height: int
    labels: Positions
    boxes: Boxes
    box_labels: Positions


@dataclass(frozen=True)
class Detections:
    """What a detector says of one image, the surest first.

    Attributes:
        boxes: shape [detections, 4].
        labels: shape [detections].
        confidences: shape [detections], 0 to 1.
    """

    boxes: Boxes
    labels: Positions
    confidences: npt.NDArray[np.float64]
