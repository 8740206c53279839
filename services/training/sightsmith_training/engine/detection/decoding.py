"""From the answers of the points to boxes and scores."""

import torch
from torch import Tensor

from sightsmith_training.engine.detection.network import BINS


def bin_distances() -> Tensor:
    """The distances in strides that the bins stand for, shape [BINS]."""
    return torch.arange(BINS, dtype=torch.float32)


def decode_boxes(distance_logits: Tensor, points: Tensor, bins: Tensor) -> Tensor:
    """Takes the mean of each distribution of distances (Li et al. 2020, generalised focal loss, equation 5).

    Args:
        distance_logits: shape [..., points, 4 × BINS].
        points: shape [points, 3], see `points_of`.
        bins: see `bin_distances`; given, because a traced graph can be moved to another device with its buffers only.

    Returns:
        Shape [..., points, 4]: left, top, right, bottom in pixels; may reach beyond the input.
    """
    shares = distance_logits.reshape(*distance_logits.shape[:-1], 4, BINS).softmax(-1)
    distances = (shares * bins).sum(-1) * points[:, 2:]
    middles = points[:, :2]
    return torch.cat([middles - distances[..., :2], middles + distances[..., 2:]], -1)
