"""The grid of points at which the detector looks for objects."""

import torch
from torch import Tensor

STRIDES = (8, 16, 32)
"""Pixels between the points of the fine, the middle and the coarse level."""


def points_of(side: int) -> Tensor:
    """Lists the points of an input, level by level, row by row.

    Args:
        side: of the input in pixels, a multiple of 32.

    Returns:
        float32, shape [points, 3]: x and y of the middle of the cell in pixels, and its stride.
    """
    levels = []
    for stride in STRIDES:
        middles = (torch.arange(side // stride, dtype=torch.float32) + 0.5) * stride
        y, x = torch.meshgrid(middles, middles, indexing="ij")
        levels.append(torch.stack([x.flatten(), y.flatten(), torch.full((x.numel(),), float(stride))], 1))
    return torch.cat(levels)


def level_sizes(side: int) -> list[int]:
    """How many points each level has."""
    return [(side // stride) ** 2 for stride in STRIDES]
