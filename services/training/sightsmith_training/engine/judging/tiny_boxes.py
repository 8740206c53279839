"""Boxes that are too small for the input of a detector."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TinyBoxes:
    """Training boxes that are too small for the input of the detector.

    Attributes:
        counts: how many of each label are too small, in the order of the model.
        boxes: how many training boxes there are.
        least: side in pixels of the input from which on a box is large enough.
        side: of the input in pixels.
    """

    counts: Sequence[int]
    boxes: int
    least: int
    side: int

    @property
    def text(self) -> str:
        """For the owner of the images, in plain words."""
        return (
            f"{sum(self.counts)} of {self.boxes} training boxes are smaller than {self.least} pixels once the image is "
            f"made as small as the model's input of {self.side} × {self.side} pixels: such objects are often missed. "
            "Cut the images into parts, here and where the model is used, or take them from nearer."
        )
