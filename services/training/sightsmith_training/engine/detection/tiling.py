"""The overlapping tiles of an input, each of which the network sees enlarged.

Akyon et al., "Slicing Aided Hyper Inference and Fine-tuning for Small Object Detection" (2022), section 3.2, but inside
the graph, and without boxes that a tile's edge has cut: of every tile only the points count that no other tile has
farther inside. Tiles one after the other need no more memory than an image that is not enlarged.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from sightsmith_training.engine.detection.points import points_of

_MARGIN = 128
"""Pixels of the enlarged input, a multiple of the coarsest stride, that a tile shows beyond its own part."""


@dataclass(frozen=True)
class Tile:
    """A square part of the input, and which of its points count.

    Attributes:
        left: in pixels of the input.
        top: likewise.
        side: likewise.
        positions: of the points that count, among those of the enlarged tile, see `points_of`.
        points: the same in pixels of the enlarged input; shape [points, 3].
    """

    left: int
    top: int
    side: int
    positions: Tensor
    points: Tensor


def tiles_of(side: int, enlargement: int) -> list[Tile]:
    """Divides an input into as many tiles a side as it is enlarged.

    Args:
        side: of the input in pixels, a multiple of the coarsest stride.
        enlargement: how much larger the network sees it: 2 or 4; 1 for one tile of everything.

    Returns:
        Tiles whose points together are those of the enlarged input, each once.
    """
    own = side  # In pixels of the enlarged input, of which it is one part in `enlargement`.
    whole = side * enlargement
    shown = min(whole, own + _MARGIN * min(2, enlargement - 1))
    starts = [min(max(0, number * own - _MARGIN), whole - shown) for number in range(enlargement)]
    return [
        _tile((starts[column], starts[row]), shown, (column * own, row * own), own, enlargement)
        for row in range(enlargement)
        for column in range(enlargement)
    ]


def enlarge(pixels: Tensor, enlargement: int) -> Tensor:
    """Pixels, shape [batch, side, side, 3], in so many times the size."""
    planes = pixels.permute(0, 3, 1, 2).float()
    enlarged = functional.interpolate(planes, scale_factor=enlargement, mode="bilinear", align_corners=False)
    return enlarged.permute(0, 2, 3, 1)


def _tile(start: Sequence[int], shown: int, own_start: Sequence[int], own: int, enlargement: int) -> Tile:
    points = points_of(shown) + torch.tensor([*start, 0], dtype=torch.float32)
    first = torch.tensor(own_start, dtype=torch.float32)
    positions = ((points[:, :2] > first) & (points[:, :2] < first + own)).all(1).nonzero().flatten()
    left, top = (pixel // enlargement for pixel in start)
    return Tile(left, top, shown // enlargement, positions, points[positions])
