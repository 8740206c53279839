"""What the detector is made to minimise: generalised focal loss (Li et al. 2020) and GIoU (Rezatofighi et al. 2019)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_iou, generalized_box_iou_loss

from sightsmith_training.engine.detection.assignment import IGNORED, Assigner
from sightsmith_training.engine.detection.decoding import bin_distances, decode_boxes
from sightsmith_training.engine.detection.network import BINS
from sightsmith_training.engine.detection.points import points_of

_BOX_WEIGHT = 2.0  # NanoDet's weights of the three parts.
_DISTANCE_WEIGHT = 0.25
_SIDES = 4


@dataclass(frozen=True)
class Truth:
    """What is to be found on one image.

    Attributes:
        boxes: float32, shape [boxes, 4], in pixels of the input.
        labels: int64, shape [boxes].
        ignored: float32, shape [places, 4], likewise: where there is something, but nothing to learn from.
    """

    boxes: Tensor
    labels: Tensor
    ignored: Tensor


class DetectionLoss:
    """The loss for inputs of one side and a number of labels."""

    def __init__(self, side: int, labels: int) -> None:
        self._labels = labels
        self._points = points_of(side)
        self._bins = bin_distances()
        self._assigner = Assigner(side)

    def assign(self, truths: Sequence[Truth]) -> Tensor:
        """Says which box each point is to find on each image, see `Assigner`; shape [images, points]."""
        return torch.stack([self._assigner.assign(truth.boxes, truth.ignored) for truth in truths])

    def __call__(self, answers: Tensor, truths: Sequence[Truth], assigned: Tensor, usual: float) -> Tensor:
        """Computes the loss of some images.

        Args:
            answers: of the network, shape [images, points, labels + 4 × BINS].
            truths: of each image.
            assigned: what `assign` says of them; like the truths on the processor, wherever the answers are.
            usual: how many points usually have a box, over as many images as make a step. The count of the images at
                hand would not do: an image with few points would count as much as one with many, and one without any
                hundreds of times as much.

        Returns:
            One number; the losses of the images of a step are to be added.
        """
        label_logits, distance_logits = torch.split(answers, [self._labels, 4 * BINS], -1)
        # What is to be found is put together on the processor; a GPU gets the few points and boxes that matter.
        image, point = torch.nonzero(assigned >= 0, as_tuple=True)
        asked = (assigned != IGNORED).to(answers.device)[..., None]
        qualities = torch.zeros_like(label_logits)
        if not len(image):
            return quality_focal_loss(label_logits, qualities, asked) / usual
        box = assigned[image, point] + _starts(truths)[image]
        wanted = torch.cat([truth.boxes for truth in truths])[box].to(answers.device)
        labels = torch.cat([truth.labels for truth in truths])[box].to(answers.device)
        points, bins = self._points[point].to(answers.device), self._bins.to(answers.device)
        image, point = image.to(answers.device), point.to(answers.device)
        logits = distance_logits[image, point]
        found = decode_boxes(logits, points, bins)
        qualities[image, point, labels] = box_iou_pairs(found.detach(), wanted)
        loss: Tensor = (
            quality_focal_loss(label_logits, qualities, asked)
            + _BOX_WEIGHT * generalized_box_iou_loss(found, wanted, reduction="sum")
            + _DISTANCE_WEIGHT * distribution_focal_loss(logits, _distances(points, wanted))
        )
        return loss / usual


def _starts(truths: Sequence[Truth]) -> Tensor:
    """Where the boxes of each image begin among those of all."""
    counts = torch.tensor([len(truth.labels) for truth in truths])
    return counts.cumsum(0) - counts


def quality_focal_loss(logits: Tensor, qualities: Tensor, asked: Tensor) -> Tensor:
    """Cross-entropy against qualities, weighted by the square of the error (equation 3 with β = 2); the sum.

    Args:
        logits: any shape.
        qualities: same shape, 0 to 1: the overlap of the found box with the labelled one; 0 where there is none.
        asked: bool, of a shape that suits both: which of them count.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, qualities, reduction="none")
    return (entropy * (logits.sigmoid() - qualities).square() * asked).sum()


def distribution_focal_loss(logits: Tensor, distances: Tensor) -> Tensor:
    """Cross-entropy against the two bins beside each distance (equation 6); the mean of the sides, summed over points.

    Args:
        logits: shape [points, 4 × BINS].
        distances: shape [points, 4] in strides; those beyond the last bin count as the last bin.
    """
    flat = logits.reshape(-1, BINS)
    within = distances.reshape(-1).clamp(0, BINS - 1 - 1e-2)
    below = within.long()
    share_above = within - below
    lower = functional.cross_entropy(flat, below, reduction="none") * (1 - share_above)
    upper = functional.cross_entropy(flat, below + 1, reduction="none") * share_above
    return (lower + upper).sum() / _SIDES


def box_iou_pairs(first: Tensor, second: Tensor) -> Tensor:
    """Overlap of each box with the box at the same position; both [boxes, 4], the result [boxes]."""
    overlaps: Tensor = box_iou(first.unsqueeze(1), second.unsqueeze(1)).flatten()
    return overlaps


def _distances(points: Tensor, boxes: Tensor) -> Tensor:
    return torch.cat([points[:, :2] - boxes[:, :2], boxes[:, 2:] - points[:, :2]], 1) / points[:, 2:]
