"""What a detector takes for an object, but is none: hard negatives (Felzenszwalb et al. 2010, section 4.4)."""

from collections.abc import Sequence

import numpy as np
import torch
from torchvision.ops import box_iou

from sightsmith_training.engine.detection.judgement import Size
from sightsmith_training.engine.detection.scenes import Labelling, Shares
from sightsmith_training.engine.judging.answers import Detections

_SURE = 0.25
_APART = 0.1  # What overlaps a labelled box by more is that box, badly drawn.
_MOST = 5  # Of an image.


def find_decoys(
    detections: Sequence[Detections], labellings: Sequence[Labelling], sizes: Sequence[Size]
) -> list[Shares]:
    """Finds detections of which the detector is fairly sure and which lie apart from all labelled boxes.

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
    overlaps = box_iou(torch.from_numpy(boxes), torch.from_numpy(labelling.boxes)).numpy()
    decoys: Shares = boxes[overlaps.max(axis=1, initial=0.0) < _APART][:_MOST]
    return decoys
