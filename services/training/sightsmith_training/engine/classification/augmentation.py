"""Altered copies of training images, so that a network cannot learn them by heart."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name that torch's own documentation uses

_LEAST_AREA = 0.5
_WIDEST_RATIO = 4 / 3
_MOST_DEGREES = 10.0
_COLOUR_CHANGE = 0.25


@dataclass(frozen=True)
class Augmentation:
    """Which changes leave the labels of an image true.

    Attributes:
        mirror: whether an image and its mirror image mean the same; not so for writing or for left and right.
    """

    mirror: bool = True

    def apply(self, planes: Tensor, random: np.random.Generator) -> Tensor:
        """A random crop, turn, mirror image and colouring of each image.

        A crop of half the area at least (Szegedy et al., "Going Deeper with Convolutions", 2015, section 6), with a
        turn of ten degrees at most: both are one resampling. What lies outside repeats the edge.

        Args:
            planes: float32 [images, 3, side, side], -1 to 1.
            random: decides everything; the same state gives the same images.

        Returns:
            float32 of the same shape and range.
        """
        grid = F.affine_grid(self._views(len(planes), random), list(planes.shape), align_corners=False)
        moved = F.grid_sample(planes, grid, mode="bilinear", padding_mode="border", align_corners=False)
        return _recolour(moved, random)

    def _views(self, images: int, random: np.random.Generator) -> Tensor:
        """What part of each image is seen, as affine maps [images, 2, 3] from the places of the view to its source."""
        area = random.uniform(_LEAST_AREA, 1, images)
        ratio = np.exp(random.uniform(-math.log(_WIDEST_RATIO), math.log(_WIDEST_RATIO), images))
        width, height = (np.minimum(np.sqrt(area * share), 1) for share in (ratio, 1 / ratio))
        angle = np.radians(random.uniform(-_MOST_DEGREES, _MOST_DEGREES, images))
        sign = np.where(random.random(images) < 0.5, -1.0, 1.0) if self.mirror else np.ones(images)
        left, top = (random.uniform(-1, 1, images) * (1 - size) for size in (width, height))
        rows = [
            [width * np.cos(angle) * sign, -height * np.sin(angle), left],
            [width * np.sin(angle) * sign, height * np.cos(angle), top],
        ]
        return torch.from_numpy(np.array(rows).transpose(2, 0, 1)).float()


def _recolour(planes: Tensor, random: np.random.Generator) -> Tensor:
    """Other brightness, contrast and saturation, each a little."""
    shape = (3, len(planes), 1, 1, 1)
    change = torch.from_numpy(random.uniform(-_COLOUR_CHANGE, _COLOUR_CHANGE, shape)).float()
    brightness, contrast, saturation = change
    grey = planes.mean(dim=1, keepdim=True)
    middle = grey.mean(dim=(2, 3), keepdim=True)
    coloured = grey + (planes - grey) * (1 + saturation)
    recoloured: Tensor = middle + (coloured - middle) * (1 + contrast) + brightness
    return recoloured.clamp(-1, 1)
