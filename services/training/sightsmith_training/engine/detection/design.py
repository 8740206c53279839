"""What differs between detectors that are tried, and where the search begins."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sightsmith_training.engine.catalogue import NANODET
from sightsmith_training.engine.detection.labelling import Labelling, no_boxes
from sightsmith_training.engine.detection.network import BINS
from sightsmith_training.engine.detection.points import STRIDES
from sightsmith_training.engine.detection.scenes import Variety
from sightsmith_training.engine.detection.tuning import Recipe
from sightsmith_training.engine.judging.tiny_boxes import TinyBoxes
from sightsmith_training.engine.specification import DetectorLimits, Preference

_SIDES = (320, 416, 512, 640, 800, 960, 1280)
_LEAST_PIXELS = 8  # Side of a box; a smaller one lies between the finest points.
_ENOUGH_PIXELS = 20  # The finest points are 8 pixels apart; an object should lie at several of them.
_BEARABLE_PIXELS: Mapping[Preference, float] = {"speed": _LEAST_PIXELS, "balanced": 12, "accuracy": _ENOUGH_PIXELS}
_USUAL_SIDES: Mapping[Preference, int] = {"speed": 320, "balanced": NANODET.input_side, "accuracy": 512}
_DEAR_SIDE = 640  # Above this only what is bearable is asked for: an image costs two to ten times the usual.
_ENLARGEMENT = 2
_REACH = 2 * (BINS - 1) * max(STRIDES)  # Pixels of the largest box that a point can tell.
_PASTED = 0.5  # Share of the pictures.
_PART = 256
_CELL = 32  # Pixels; sides are multiples of the coarsest stride.
_CHANNELS = 3


@dataclass(frozen=True)
class Design:
    """One way to make a detector.

    Attributes:
        side: of its input in pixels.
        enlargement: how many times larger the network sees the input, in tiles: see `tiles_of`.
        flip: whether it learns from mirrored pictures too.
        paste: whether it learns from pictures with objects of other images pasted upon them, see `LabelledObjects`.
        mosaic: whether it learns from pictures put together from four images, see `Mosaics`.
        frozen: how many stages stay as they were pretrained. The first ones, which see edges and colours, are the
            dearest to train and have the least to learn: for the same time there are a quarter more steps.
    """

    side: int
    enlargement: int = 1
    flip: bool = False
    paste: bool = False
    mosaic: bool = False
    frozen: int = 2

    @property
    def name(self) -> str:
        """Says what it is, for people."""
        enlarged = f" in tiles, {self.enlargement} times as large" if self.enlargement > 1 else ""
        ways = {", mirrored pictures": self.flip, ", pasted objects": self.paste, ", mosaics": self.mosaic}
        pictures = "".join(way for way, is_taken in ways.items() if is_taken)
        return f"{NANODET.name} {self.side} px{enlarged}, {self.frozen} stages frozen{pictures}"

    @property
    def key(self) -> str:
        """Tells it from other designs in the name of a file."""
        enlarged = f"x{self.enlargement}" if self.enlargement > 1 else ""
        ways = {"-flip": self.flip, "-paste": self.paste, "-mosaic": self.mosaic}
        return f"{self.side}{enlarged}-{self.frozen}" + "".join(way for way, is_taken in ways.items() if is_taken)

    @property
    def seen_side(self) -> int:
        """Side in pixels of what the network sees."""
        return self.side * self.enlargement

    @property
    def parameters(self) -> dict[str, float]:
        """Everything that was chosen, by name."""
        return {
            "side": self.side,
            "enlargement": self.enlargement,
            "flip": float(self.flip),
            "paste": float(self.paste),
            "mosaic": float(self.mosaic),
            "frozen": self.frozen,
        }

    @property
    def milliseconds(self) -> float:
        """For one image on an ordinary core: in proportion to the pixels."""
        return 1000 * seconds_per_image(self.seen_side)

    @property
    def variety(self) -> Variety:
        """How much the pictures differ that it learns from."""
        return Variety(flip=self.flip, paste=_PASTED if self.paste else 0.0)

    def recipe(self, steps: int) -> Recipe:
        """How it is trained in so many steps."""
        return Recipe(steps, side=self.seen_side, part=min(_PART, self.seen_side), frozen=self.frozen)


def possible_sides(largest: int) -> list[int]:
    """The sides to choose from, where images are at hand as squares of this side; at least one, ascending."""
    sides = [side for side in _SIDES if side <= largest]
    return sides or [max(_CELL, largest // _CELL * _CELL)]


def enlarged(design: Design, labellings: Sequence[Labelling], preference: Preference) -> Design:
    """The same with the input seen twice as large, where nine of ten boxes have not even the pixels that they need.

    It stays as it is where that would make boxes larger than the network's points reach, or speed is wished for.
    """
    is_tiny = _small_box(labellings) * design.side < _LEAST_PIXELS
    fits = _large_box(labellings) * design.side * _ENLARGEMENT <= _REACH
    return replace(design, enlargement=_ENLARGEMENT) if is_tiny and fits and preference != "speed" else design


def suitable_side(labellings: Sequence[Labelling], largest: int, preference: Preference) -> int:
    """The side at which nine of ten boxes have enough pixels, as far as there is one.

    Most sets do well with the side of the pretraining; who wishes for speed may get a smaller one. The network sees the
    same pixels in the same way wherever they are, so that a large input is as good as overlapping tiles of it in the
    same size.

    Args:
        labellings: of the training images.
        largest: side of the squares that the images are at hand as; more is not to be had.
        preference: speed does with fewer pixels, accuracy takes as many as there are.
    """
    sides = possible_sides(largest)
    small = max(_small_box(labellings), 1e-6)
    wanted = max(_USUAL_SIDES[preference], _BEARABLE_PIXELS[preference] / small)
    if preference != "speed":
        wanted = max(wanted, min(_DEAR_SIDE, _ENOUGH_PIXELS / small))
    return next((side for side in sides if side >= wanted), sides[-1])


def larger_side(side: int, largest: int) -> int:
    """The next larger side up to a largest one; the same where there is none."""
    return min((other for other in possible_sides(largest) if other > side), default=side)


def affordable_side(images: int, limits: DetectorLimits) -> int:
    """The largest side of squares that so many images may be kept as; images of the usual sides may always be."""
    within = math.isqrt(limits.decoded_bytes // (_CHANNELS * max(1, images)))
    return min(limits.largest_side, max(within, _DEAR_SIDE))


def seconds_per_image(side: int) -> float:
    """For one image on an ordinary core: in proportion to the pixels."""
    return NANODET.cost * (side / NANODET.input_side) ** 2


def tiny_boxes(labellings: Sequence[Labelling], labels: int, side: int, enlargement: int = 1) -> TinyBoxes:
    """Counts the boxes, of so many labels, that are too small for an input of this side, seen enlarged or not."""
    least = _LEAST_PIXELS // enlargement
    sides = _box_sides(labellings)
    of_labels = np.concatenate([np.empty(0, np.intp), *(labelling.labels for labelling in labellings)])
    counts = np.bincount(of_labels[sides * side < least], minlength=labels)
    return TinyBoxes(counts.tolist(), len(sides), least, side)


def _small_box(labellings: Sequence[Labelling]) -> float:
    """The side of a small box, as a share of the image; a tenth of the boxes are smaller."""
    sides = _box_sides(labellings)
    return float(np.quantile(sides, 0.1)) if len(sides) else 1.0


def _large_box(labellings: Sequence[Labelling]) -> float:
    """The longer side of a large box, as a share of the image; one in a hundred is larger."""
    boxes = np.concatenate([no_boxes(), *(labelling.boxes for labelling in labellings)])
    return float(np.quantile((boxes[:, 2:] - boxes[:, :2]).max(axis=1), 0.99)) if len(boxes) else 1.0


def _box_sides(labellings: Sequence[Labelling]) -> npt.NDArray[np.float32]:
    """The sides of squares as large as the boxes, as shares of the image; shape [boxes]."""
    boxes = np.concatenate([no_boxes(), *(labelling.boxes for labelling in labellings)])
    sides: npt.NDArray[np.float32] = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))
    return sides
