"""What is labelled on an image, as detectors learn it."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Shares = npt.NDArray[np.float32]
"""Shape [boxes, 4]: left, top, right, bottom as shares of the image's sides, 0 to 1."""


def no_boxes() -> Shares:
    """Shape [0, 4]."""
    return np.empty((0, 4), np.float32)


@dataclass(frozen=True)
class Labelling:
    """The boxes of one image.

    Attributes:
        boxes: shape [boxes, 4].
        labels: shape [boxes]; positions in the model's list of labels.
        ignored: where objects are that are not to be learned, and that are no background either; shape [places, 4].
    """

    boxes: Shares
    labels: npt.NDArray[np.intp]
    ignored: Shares = field(default_factory=no_boxes)
