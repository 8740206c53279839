"""Training images that a detector does not learn from, so that it can be judged by them."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sightsmith_training.engine.classification.folds import stratify_images
from sightsmith_training.engine.classification.truth import Rows
from sightsmith_training.engine.detection.labelling import Labelling

_PARTS = ((60, 6), (24, 4), (6, 3))
"""From so many images with boxes, one in so many is held out: a few images judge badly, but few are to learn from."""

_LEAST_WITH_BOXES = 6


LEAST_WITH_BOXES = min(least for least, _ in _PARTS)
"""With fewer images with boxes, none is held out."""


def hold_out(
    labellings: Sequence[Labelling],
    labels: int,
    seed: int,
    groups: npt.NDArray[np.intp] | None = None,
    most: float = math.inf,
) -> list[Rows]:
    """Divides images into parts to judge by, each with about its share of every label and of the background.

    Args:
        labellings: of the training images.
        labels: how many there are.
        seed: decides what labels leave open.
        groups: shape [images]; images of one number (near duplicates) stay on one side. None: every image by itself.
        most: about how many images a part may have, at least 1, unless too few of them would have boxes.

    Returns:
        The positions in each part, ascending: a detector that learns from the other images is judged by one part. No
        parts where fewer than `LEAST_WITH_BOXES` images have boxes, or where all images are one group.
    """
    with_boxes = sum(len(labelling.labels) > 0 for labelling in labellings)
    parts = next((parts for least, parts in _PARTS if with_boxes >= least), 0)
    if not parts:
        return []
    parts = max(parts, min(math.ceil(len(labellings) / most), with_boxes // _LEAST_WITH_BOXES))
    truth = np.array([np.isin(range(labels), labelling.labels) for labelling in labellings])
    places = stratify_images(truth, parts, seed, groups)
    held_out = [np.flatnonzero(places == part) for part in np.unique(places)]
    return held_out if len(held_out) > 1 else []
