"""Labelled objects of some images, pasted upon others.

Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation" (2021); with boxes in
place of outlines as in Dwibedi, Misra, Hebert, "Cut, Paste and Learn" (2017), section 5: a few objects then are seen
before many more backgrounds.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from sightsmith_training.engine.classification.truth import Rows
from sightsmith_training.engine.detection.cutting_out import rounded_shape
from sightsmith_training.engine.detection.labelling import Labelling, Shares, no_boxes
from sightsmith_training.engine.samples import Pixels

_MOST = 2  # On one picture.
_TRIES = 8  # To find a place where no other object is.
_SIZES = (0.7, 1.4)  # As multiples of the natural size.
_LEAST_SIDE = 8  # Pixels of a picture; a smaller object cannot be told.
_LARGEST = 0.6  # Share of the sides of a picture.
_CORNERS = (3.0, 20.0)  # Exponents of a superellipse: the corners of a box show what is behind its object.


class LabelledObjects:
    """What lies in the boxes of some images.

    Args:
        squares: shape [images, side, side, 3], RGB; may be mapped from a file.
        labellings: of each image.
        rows: positions of the images whose objects these are. Objects of images that judge do not belong there.
    """

    def __init__(self, squares: Pixels, labellings: Sequence[Labelling], rows: Rows) -> None:
        self._squares = squares
        chosen = [labellings[row] for row in rows.tolist()]
        self._images = np.repeat(rows, [len(each.labels) for each in chosen])
        self._boxes: Shares = np.concatenate([no_boxes(), *(each.boxes for each in chosen)])
        self._labels = np.concatenate([np.empty(0, np.intp), *(each.labels for each in chosen)])
        self._of_label = [np.flatnonzero(self._labels == label) for label in np.unique(self._labels)]

    def paste(
        self, canvas: Image.Image, labelling: Labelling, scale: tuple[float, float], random: np.random.Generator
    ) -> Labelling:
        """Pastes one or two objects where they cover nothing of what is labelled, as far as there is such a place.

        Rare labels are drawn as often as others.

        Args:
            canvas: RGB, a square; it is changed.
            labelling: what is on it.
            scale: width and height that all of an image has in natural size, in pixels of the canvas.
            random: decides everything.

        Returns:
            What is on it now.
        """
        taken = [*labelling.boxes, *labelling.ignored]
        boxes, labels = list(labelling.boxes), list(labelling.labels)
        for _ in range(int(random.integers(1, _MOST + 1)) if len(self._labels) else 0):
            number = self._pick(random)
            size = self._size(number, scale, random)
            place = _free_place(size, canvas.width, taken, random)
            if place is None:
                continue
            canvas.paste(self._cut(number, size), place, rounded_shape(size, random.uniform(*_CORNERS)))
            corners = np.array([*place, place[0] + size[0], place[1] + size[1]], np.float32)
            boxes.append(corners / canvas.width)
            labels.append(self._labels[number])
            taken.append(boxes[-1])
        return Labelling(np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.intp), labelling.ignored)

    def _pick(self, random: np.random.Generator) -> int:
        """First a label, then an object of it."""
        return int(random.choice(self._of_label[random.integers(len(self._of_label))]))

    def _size(self, number: int, scale: tuple[float, float], random: np.random.Generator) -> tuple[int, int]:
        width, height = self._boxes[number, 2:] - self._boxes[number, :2]
        factor = np.exp(random.uniform(*np.log(_SIZES)))
        return round(float(width * scale[0] * factor)), round(float(height * scale[1] * factor))

    def _cut(self, number: int, size: tuple[int, int]) -> Image.Image:
        square = Image.fromarray(np.asarray(self._squares[self._images[number]]))
        left, top, right, bottom = (self._boxes[number] * square.width).tolist()
        return square.resize(size, Image.Resampling.BILINEAR, box=(left, top, right, bottom))


def _free_place(
    size: tuple[int, int], side: int, taken: Sequence[Shares], random: np.random.Generator
) -> tuple[int, int] | None:
    """Left and top in pixels of a square; None where the size does not suit it or no place was found."""
    if min(size) < _LEAST_SIDE or max(size) > _LARGEST * side:
        return None
    others = np.array(taken, np.float32).reshape(-1, 4) * side
    for _ in range(_TRIES):
        start = random.integers(0, side - np.array(size) + 1)
        if not ((start < others[:, 2:]) & (others[:, :2] < start + size)).all(axis=1).any():
            return int(start[0]), int(start[1])
    return None
