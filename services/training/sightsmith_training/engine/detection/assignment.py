"""Which points are to find which box: adaptive training sample selection (Zhang et al. 2020, ATSS, algorithm 1)."""

import torch
from torch import Tensor
from torchvision.ops import box_iou

from sightsmith_training.engine.detection.points import level_sizes, points_of

NO_BOX = -1
"""A point that is to find nothing."""

IGNORED = -2
"""A point of which nothing is asked: it may find something or nothing."""

_NEAREST = 9  # Points of each level that are looked at for a box (section 4.4.1).
_CELL = 2.5  # Half the side, in strides, of the square that stands for a point where overlaps are measured (3.1).
_INSIDE = 0.01  # Pixels by which a point must lie inside its box.


class Assigner:
    """Assigns points to boxes, for inputs of one side."""

    def __init__(self, side: int) -> None:
        points = points_of(side)
        self._middles = points[:, :2]
        self._strides = points[:, 2:]
        reach = points[:, 2:] * _CELL
        self._squares = torch.cat([self._middles - reach, self._middles + reach], 1)
        self._levels = level_sizes(side)

    def assign(self, boxes: Tensor, ignored: Tensor) -> Tensor:
        """Assigns points to the boxes of one image.

        Args:
            boxes: float32, shape [boxes, 4]: left, top, right, bottom in pixels, right of left and bottom below top.
            ignored: shape [places, 4]: where points without a box are not to learn that there is nothing.

        Returns:
            int64, shape [points]: the position of the point's box, `NO_BOX` or `IGNORED`. A point lies inside its box;
            where none does, because the box is so small, the nearest one of the finest level finds it. A box gets no
            point if others overlap all of its points more.
        """
        elsewhere = torch.where(self._touches(ignored), IGNORED, NO_BOX)
        if not len(boxes):
            return elsewhere
        candidates = self._nearest(boxes)
        overlaps = box_iou(self._squares, boxes).gather(0, candidates)
        inside = self._is_inside(candidates, boxes)
        # The first candidate is the nearest point of the finest level.
        inside[0] |= ~inside.any(0)
        possible = overlaps * inside
        # The paper's limit alone leaves some boxes, near corners above all, without any point to learn them.
        least = torch.minimum(overlaps.mean(0) + overlaps.std(0), possible.amax(0))
        best = torch.zeros(len(self._middles), len(boxes))
        best.scatter_(0, candidates, possible * (possible >= least))
        overlap, box = best.max(1)
        return torch.where(overlap > 0, box, elsewhere)

    def _touches(self, places: Tensor) -> Tensor:
        """Whether the cell of a point and one of the places have anything in common; shape [points]."""
        reach = self._strides[:, None] / 2
        apart = (self._middles[:, None] + reach <= places[:, :2]) | (self._middles[:, None] - reach >= places[:, 2:])
        touches: Tensor = (~apart.any(-1)).any(1)
        return touches

    def _nearest(self, boxes: Tensor) -> Tensor:
        """Positions of the points of each level nearest to the middles of the boxes; shape [candidates, boxes]."""
        distances = torch.cdist(self._middles, (boxes[:, :2] + boxes[:, 2:]) / 2)
        nearest, start = [], 0
        for level in torch.split(distances, self._levels):
            nearest.append(level.topk(min(_NEAREST, len(level)), dim=0, largest=False).indices + start)
            start += len(level)
        return torch.cat(nearest)

    def _is_inside(self, candidates: Tensor, boxes: Tensor) -> Tensor:
        middles = self._middles[candidates]
        margins = torch.cat([middles - boxes[:, :2], boxes[:, 2:] - middles], -1)
        inside: Tensor = margins.amin(-1) > _INSIDE
        return inside
