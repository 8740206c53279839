"""Training pictures of which some are put together from four images.

Bochkovskiy, Wang, Liao, "YOLOv4: Optimal Speed and Accuracy of Object Detection" (2020), section 3.3: objects are seen
beside more backgrounds, and a step sees four images for the price of one.
"""

from collections.abc import Sequence

import numpy as np

from sightsmith_training.engine.classification.truth import Rows
from sightsmith_training.engine.detection.labelled_objects import LabelledObjects
from sightsmith_training.engine.detection.labelling import Labelling, Shares
from sightsmith_training.engine.detection.scenes import Scenes, Variety
from sightsmith_training.engine.samples import Pixels

_PUT_TOGETHER = 0.5  # Share of the pictures.
_CORNERS = ((0, 0), (1, 0), (0, 1), (1, 1))


class Mosaics(Scenes):
    """Scenes half of which show, beside their own image, three others.

    Args:
        squares: as of `Scenes`, like all that is not named here.
        labellings: likewise.
        variety: likewise.
        seed: likewise.
        rows: positions of the images that stand beside others. Images that judge do not belong there.
        decoys: likewise.
        objects: likewise.
    """

    def __init__(
        self,
        squares: Pixels,
        labellings: Sequence[Labelling],
        variety: Variety,
        seed: int,
        rows: Rows,
        decoys: Sequence[Shares] | None = None,
        objects: LabelledObjects | None = None,
    ) -> None:
        super().__init__(squares, labellings, variety, seed, decoys, objects)
        self._rows = rows

    def picture(self, image: int, side: int, share: float, random: np.random.Generator) -> tuple[Pixels, Labelling]:
        """Makes one picture [side, side, 3] of an image, or of it and three others, and says where the boxes are."""
        if random.random() >= _PUT_TOGETHER:
            return super().picture(image, side, share, random)
        half = side // 2
        # In natural size half a picture shows half as much; whole images stay whole, with objects half as large.
        own_share = share if share == 1 else share / 2
        images = [image, *random.choice(self._rows, len(_CORNERS) - 1).tolist()]
        quarters = [super(Mosaics, self).picture(each, half, own_share, random) for each in images]
        pixels = np.empty((side, side, 3), np.uint8)
        for (x, y), (quarter, _) in zip(_CORNERS, quarters, strict=True):
            pixels[y * half : (y + 1) * half, x * half : (x + 1) * half] = quarter
        return pixels, _joined([labelling for _, labelling in quarters])


def _joined(quarters: Sequence[Labelling]) -> Labelling:
    """What is on all quarters, where it is on the whole."""
    shifts = [np.array([x, y, x, y], np.float32) for x, y in _CORNERS]
    placed = list(zip(quarters, shifts, strict=True))
    return Labelling(
        np.concatenate([(quarter.boxes + shift) / 2 for quarter, shift in placed]),
        np.concatenate([quarter.labels for quarter in quarters]),
        np.concatenate([(quarter.ignored + shift) / 2 for quarter, shift in placed]),
    )
