"""Of several boxes around one object, only the surest: as tensor arithmetic, so that it can be a part of the graph."""

import warnings

import torch
from torch import Tensor


def overlaps_of(boxes: Tensor) -> Tensor:
    """Intersection over union of each box with each other box of its image.

    Args:
        boxes: shape [batch, boxes, 4]: left, top, right, bottom.

    Returns:
        Shape [batch, boxes, boxes]; 0 where both boxes are empty.
    """
    left_top = torch.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])
    right_bottom = torch.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:])
    shared = (right_bottom - left_top).clamp(min=0).prod(-1)
    areas = (boxes[..., 2:] - boxes[..., :2]).prod(-1)
    union = areas[:, :, None] + areas[:, None, :] - shared
    return torch.where(union > 0, shared / union, torch.zeros_like(shared))


def survivors(boxes: Tensor, labels: Tensor, allowed_overlap: float) -> Tensor:
    """Says which boxes stay: the same as greedy suppression label by label.

    Args:
        boxes: shape [batch, boxes, 4], the surest first.
        labels: shape [batch, boxes]; boxes of different labels do not touch each other.
        allowed_overlap: a box goes if it overlaps a surer box that stays by more than this.

    Returns:
        bool, shape [batch, boxes].
    """
    rivals = (overlaps_of(boxes) > allowed_overlap) & (labels[:, :, None] == labels[:, None, :])
    stay: Tensor = _settle(torch.triu(rivals.to(boxes.dtype), diagonal=1))
    return stay > 0


def _settle_step_by_step(beats: Tensor) -> Tensor:
    """Finds which boxes stay, given which would drive out which (row drives out column; only surer boxes do).

    Everyone stays at first. In each step a box stays if no box that stayed in the step before drives it out. A box is
    settled once all surer boxes are, so this ends, at the only answer that stays as it is: the greedy one. A few steps
    are enough: as many as the longest chain of boxes that drive each other out.
    """
    stay = torch.ones_like(beats[:, 0])
    is_settled = False
    while not is_settled:
        driven_out = torch.matmul(stay.unsqueeze(1), beats).squeeze(1)
        settled = (driven_out < 0.5).to(beats.dtype)
        is_settled = bool(torch.all(settled == stay))
        stay = settled
    return stay


with warnings.catch_warnings():
    # A loop whose end depends on the data can only be scripted; exports.py says why TorchScript stays.
    warnings.filterwarnings("ignore", r"`torch\.jit\..*` is deprecated", FutureWarning)
    warnings.filterwarnings("ignore", r"`torch\.jit\..*` is deprecated", DeprecationWarning)
    _settle = torch.jit.script(_settle_step_by_step)
