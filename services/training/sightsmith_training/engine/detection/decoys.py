"""What a detector takes for an object, but is none: hard negatives (Felzenszwalb et al. 2010, section 4.4)."""

from collections.abc import Sequence

import numpy as np
import torch
from torchvision.ops import box_iou

from sightsmith_training.engine.detection.design import Design
from sightsmith_training.engine.detection.ground import Ground
from sightsmith_training.engine.detection.judgement import Size
from sightsmith_training.engine.detection.labelling import Labelling, Shares
from sightsmith_training.engine.detection.network import NanoDet
from sightsmith_training.engine.judging.answers import Detections

_SURE = 0.25
_APART = 0.1  # What overlaps a labelled box by more is that box, badly drawn.
_MOST = 5  # Of an image.
_LOOKED_AT = 300  # Images, at most.


def look_for_decoys(ground: Ground, network: NanoDet, design: Design, bearable: int) -> list[Shares]:
    """Finds what a detector takes for objects on a sample of the images: to look at all of many takes too long.

    Args:
        ground: whose images they are.
        network: that looks.
        design: of it.
        bearable: at how many images there is time to look.

    Returns:
        Boxes for each image; none of those that were not looked at.
    """
    given = ground.given
    count = len(given.labellings)
    rows = np.sort(np.random.default_rng(ground.wish.seed).permutation(count)[: min(_LOOKED_AT, bearable)])
    found = find_decoys(
        ground.detect(network, design, rows),
        [given.labellings[row] for row in rows],
        [given.sizes[row] for row in rows],
    )
    decoys = [np.empty((0, 4), np.float32)] * count
    for row, own in zip(rows.tolist(), found, strict=True):
        decoys[row] = own
    return decoys


def find_decoys(
    detections: Sequence[Detections], labellings: Sequence[Labelling], sizes: Sequence[Size]
) -> list[Shares]:
    """Finds detections of which the detector is fairly sure, apart from all labelled boxes and ignored places.

    Args:
        detections: on each image, in pixels, the surest first.
        labellings: of each image.
        sizes: of each image.

    Returns:
        Boxes for each image.
    """
    return [_decoys(*each) for each in zip(detections, labellings, sizes, strict=True)]


def _decoys(found: Detections, labelling: Labelling, size: Size) -> Shares:
    boxes = (found.boxes[found.confidences >= _SURE] / np.array([*size, *size])).astype(np.float32)
    taken = np.concatenate([labelling.boxes, labelling.ignored])
    overlaps = box_iou(torch.from_numpy(boxes), torch.from_numpy(taken)).numpy()
    decoys: Shares = boxes[overlaps.max(axis=1, initial=0.0) < _APART][:_MOST]
    return decoys
