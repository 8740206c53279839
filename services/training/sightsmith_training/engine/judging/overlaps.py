"""Which boxes overlap which, and who gets whom: COCO's matching for all images, labels and conditions at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from sightsmith_training.engine.judging.answers import Boxes, Positions
from sightsmith_training.engine.judging.arrays import Flags, Floats

NOBODY = -1
"""Stands in a matching for a box that got no partner."""

_PAIRS_AT_ONCE = 1 << 18  # of which the overlaps are in memory; an image may have more


@dataclass(frozen=True)
class Pairs:
    """Detections and labelled boxes that overlap: for each detection its worst partner first.

    Attributes:
        detection: shape [pairs], ascending.
        truth: shape [pairs]; the position of the labelled box.
        iou: shape [pairs]; intersection over union, ascending within a detection.
    """

    detection: Positions
    truth: Positions
    iou: Floats

    def of(self, wanted: Flags) -> "Pairs":
        """Some of the pairs; `wanted` has shape [pairs]."""
        return Pairs(self.detection[wanted], self.truth[wanted], self.iou[wanted])


def pair_up(
    detections: Boxes, truths: Boxes, detection_images: Positions, truth_images: Positions, least_iou: float
) -> Pairs:
    """Finds the boxes on the same image that overlap by at least `least_iou`, whatever their labels.

    Args:
        detections: shape [detections, 4], image after image.
        truths: shape [truths, 4], in the same order of images.
        detection_images: shape [detections]; number of the image, ascending.
        truth_images: shape [truths]; number of the image, ascending.
        least_iou: above 0.
    """
    found = [(np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0))]
    for detection, truth in _on_one_image(detection_images, truth_images):
        iou = intersection_over_union(detections[detection], truths[truth])
        enough = iou >= least_iou
        found.append((detection[enough], truth[enough], iou[enough]))
    detection, truth, iou = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.lexsort((truth, iou, detection))
    return Pairs(detection[order], truth[order], iou[order])


def _on_one_image(detection_images: Positions, truth_images: Positions) -> Iterator[tuple[Positions, Positions]]:
    """Each detection beside each labelled box of its image, in portions that fit into memory."""
    first, last = (np.searchsorted(truth_images, detection_images, side) for side in ("left", "right"))
    beside = last - first
    until = np.cumsum(beside)
    bounds = np.searchsorted(until, np.arange(_PAIRS_AT_ONCE, until.max(initial=0) + _PAIRS_AT_ONCE, _PAIRS_AT_ONCE))
    for start, stop in pairwise(np.unique([0, *bounds, len(beside)]).tolist()):
        sizes = beside[start:stop]
        detection = np.repeat(np.arange(start, stop), sizes)
        offset = np.arange(len(detection)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        yield detection, first[detection] + offset


def intersection_over_union(first: Boxes, second: Boxes) -> Floats:
    """Of boxes beside each other, 0 without an area in common; the shape of both without the sides, which are last."""
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    common = np.maximum(sides[..., 0], 0) * np.maximum(sides[..., 1], 0)
    union = areas(first) + areas(second) - common
    return np.asarray(np.divide(common, union, out=np.zeros_like(common), where=common > 0))


def areas(boxes: Boxes) -> Floats:
    """Square pixels; the shape of the boxes without their sides, which are the last."""
    return np.asarray((boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1]))


def match_greedily(pairs: Pairs, groups: Positions, least_iou: Floats, avoided: Flags) -> npt.NDArray[np.intp]:
    """Gives each detection, the surest of its group first, the best labelled box that is still free.

    The best has the highest IoU and, of equals, the last position; an avoided one is taken only where no other will
    do. This is the matching of COCO's evaluation (pycocotools, `COCOeval.evaluateImg`), where avoided boxes are called
    ignored.

    Args:
        pairs: who may get whom; no labelled box may stand beside detections of two groups.
        groups: shape [detections]; those of one group compete, in the order of their positions.
        least_iou: shape [conditions]; the lowest IoU of a match under each condition.
        avoided: shape [conditions, truths].

    Returns:
        Shape [conditions, detections]: the position of the labelled box, or `NOBODY`.
    """
    free = np.ones(avoided.shape, dtype=np.bool_)
    partners = np.full((len(least_iou), len(groups)), NOBODY, dtype=np.intp)
    for turn in _turns(pairs, groups):
        # Within a detection the pairs ascend, so the best is the last one that is open to it.
        size = len(turn.detection)
        is_open = free[:, turn.truth] & (turn.iou >= least_iou[:, None])
        preference = np.where(is_open, np.arange(size) + size * ~avoided[:, turn.truth], NOBODY)
        detections, starts = np.unique(turn.detection, return_index=True)
        best = np.maximum.reduceat(preference, starts, axis=1)
        condition, index = np.nonzero(best != NOBODY)
        truth = turn.truth[best[condition, index] % size]
        partners[condition, detections[index]] = truth
        free[condition, truth] = False
    return partners


def ranks_within(groups: Positions) -> Positions:
    """Counts the members of each group from 0, in their order; shape like `groups`."""
    order = np.argsort(groups, kind="stable")
    _, starts, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    ranks = np.empty(len(groups), dtype=np.intp)
    ranks[order] = np.arange(len(groups)) - np.repeat(starts, sizes)
    return ranks


def _turns(pairs: Pairs, groups: Positions) -> Iterator[Pairs]:
    """First the pairs of the surest detection of every group, then those of every second, and so on."""
    detections, places = np.unique(pairs.detection, return_inverse=True)
    turn = ranks_within(groups[detections])[places]
    order = np.argsort(turn, kind="stable")
    bounds = np.searchsorted(turn[order], np.arange(turn.max(initial=NOBODY) + 2))
    for start, stop in pairwise(bounds):
        chosen = order[start:stop]
        yield Pairs(pairs.detection[chosen], pairs.truth[chosen], pairs.iou[chosen])
