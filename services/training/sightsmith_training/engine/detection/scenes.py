"""Training pictures: stored squares, seen each time a little otherwise.

Everything random of a picture follows from the seed and its number. So a training that goes on from a checkpoint sees
what it would have seen, and pictures can be made ahead by another thread.

Most pictures are parts of an image around one of its boxes, in the size in which the detector will see it: what there
is to learn from an image lies at its objects, and a part costs a third of the whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from sightsmith_training.engine.detection.labelled_objects import LabelledObjects
from sightsmith_training.engine.detection.labelling import Labelling, Shares
from sightsmith_training.engine.detection.losses import Truth
from sightsmith_training.engine.samples import Pixels

_GREY = (114, 114, 114)
_LEAST_VISIBLE = 0.4  # A box of which less is left after cropping is left out.
_LEAST_SIDE = 4  # Pixels of the input; below this there is nothing to learn from.
_ROOM = 1.25  # Side of a part, at the least, as a multiple of the box that it is around.


@dataclass(frozen=True)
class Variety:
    """How much the pictures of one image differ.

    Attributes:
        zoom: share of the pictures of whole images that are drawn larger or smaller than the image.
        window: range of what is seen, as a share of what would be seen in natural size; above 1 objects are smaller.
        focus: share of the parts that are around a box; the others are anywhere.
        stretch: largest ratio by which width and height are stretched differently.
        light: largest change of brightness and contrast, and half that of each colour, as a share.
        paste: share of the pictures upon which objects of other images are pasted.
        flip: whether pictures may be mirrored: not if there is writing on the objects, or left and right differ.
    """

    zoom: float = 0.7
    window: tuple[float, float] = (0.6, 1.25)
    focus: float = 0.8
    stretch: float = 1.15
    light: float = 0.3
    paste: float = 0.0
    flip: bool = False


@dataclass(frozen=True)
class Batch:
    """What one training step sees: uint8 RGB pixels [batch, side, side, 3] and what is to be found on each picture."""

    pixels: torch.Tensor
    truths: list[Truth]


@dataclass(frozen=True)
class _View:
    """The part of an image that fills a picture: its left and top, width and height as shares of the image."""

    left: float
    top: float
    width: float
    height: float


class Scenes:
    """Labelled squares from which training pictures are made.

    Args:
        squares: shape [images, side, side, 3], RGB; may be mapped from a file.
        labellings: of each image; images without boxes are background.
        variety: how much the pictures differ.
        seed: decides everything random.
        decoys: what is on each image and was taken for an object, but is none; parts are around these too.
        objects: what is pasted; None: nothing is.
    """

    def __init__(
        self,
        squares: Pixels,
        labellings: Sequence[Labelling],
        variety: Variety,
        seed: int,
        decoys: Sequence[Shares] | None = None,
        objects: LabelledObjects | None = None,
    ) -> None:
        self._squares = squares
        self._labellings = labellings
        self._variety = variety
        self._seed = seed
        self._objects = objects
        boxes = [labelling.boxes for labelling in labellings]
        self._places = boxes if decoys is None else [np.concatenate(pair) for pair in zip(boxes, decoys, strict=True)]

    def __len__(self) -> int:
        return len(self._labellings)

    def images(self, first: int, count: int, draws: npt.NDArray[np.intp]) -> list[int]:
        """Which images the pictures of some numbers show: all of them in a new order, again and again.

        Args:
            first: number of the first picture.
            count: of pictures.
            draws: how often each image is shown in one pass, shape [images]; at least one of them is not 0.
        """
        shown = np.repeat(np.arange(len(self)), draws)
        passes = range(first // len(shown), (first + count - 1) // len(shown) + 1)
        orders = [np.random.default_rng([self._seed, pass_]).permutation(shown) for pass_ in passes]
        start = first - passes.start * len(shown)
        images: list[int] = np.concatenate(orders)[start : start + count].tolist()
        return images

    def batch(self, images: Sequence[int], side: int, share: float, first: int) -> Batch:
        """Makes the pictures of one training step.

        Args:
            images: positions of the images.
            side: of the pictures in pixels.
            share: of an image's side that a picture shows in natural size; 1 stands for whole images.
            first: number of the first picture.
        """
        pictures = [
            self.picture(image, side, share, np.random.default_rng([self._seed, first + place, side]))
            for place, image in enumerate(images)
        ]
        pixels = torch.from_numpy(np.stack([pixels for pixels, _ in pictures]))
        return Batch(pixels, [_truth(labelling, side) for _, labelling in pictures])

    def picture(self, image: int, side: int, share: float, random: np.random.Generator) -> tuple[Pixels, Labelling]:
        """Makes one picture [side, side, 3] of an image and says where its boxes are on it."""
        view = self._view(self._places[image], share, random)
        canvas = _seen(Image.fromarray(np.asarray(self._squares[image])), view, side)
        labelling = _without_specks(_through(view, self._labellings[image]), side)
        if self._objects and random.random() < self._variety.paste:
            labelling = self._objects.paste(canvas, labelling, (side / view.width, side / view.height), random)
        if self._variety.flip and random.random() < 0.5:
            canvas = canvas.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            labelling = Labelling(_mirrored(labelling.boxes), labelling.labels, _mirrored(labelling.ignored))
        return np.asarray(_relight(canvas, self._variety.light, random)), labelling

    def _view(self, places: Shares, share: float, random: np.random.Generator) -> _View:
        if share == 1 and random.random() >= self._variety.zoom:
            return _View(0, 0, 1, 1)
        size = share * random.uniform(*self._variety.window)
        around = None
        if share < 1 and len(places) and random.random() < self._variety.focus:
            around = places[random.integers(len(places))]
            size = max(size, _ROOM * float((around[2:] - around[:2]).max()))
        stretch = self._variety.stretch ** random.uniform(-0.5, 0.5)
        width, height = size * stretch, size / stretch
        sides = [None, None] if around is None else [(around[0], around[2]), (around[1], around[3])]
        return _View(_start(width, sides[0], random), _start(height, sides[1], random), width, height)


def _start(length: float, around: tuple[float, float] | None, random: np.random.Generator) -> float:
    """Where a view begins along one axis: inside the image, or the image inside it; around a box if there is one."""
    least, most = min(0.0, 1 - length), max(0.0, 1 - length)
    if around is not None:
        least, most = max(least, min(most, around[1] - length)), min(most, max(least, around[0]))
    return random.uniform(least, most)


def _seen(square: Image.Image, view: _View, side: int) -> Image.Image:
    """A picture of the part of the image that the view shows; grey where it shows more than the image."""
    canvas = Image.new("RGB", (side, side), _GREY)
    seen_x, shown_x = _overlap(view.left, view.width, square.width, side)
    seen_y, shown_y = _overlap(view.top, view.height, square.height, side)
    size = (shown_x[1] - shown_x[0], shown_y[1] - shown_y[0])
    if min(size) >= 1:
        part = square.resize(size, Image.Resampling.BILINEAR, box=(seen_x[0], seen_y[0], seen_x[1], seen_y[1]))
        canvas.paste(part, (shown_x[0], shown_y[0]))
    return canvas


def _overlap(start: float, length: float, pixels: int, side: int) -> tuple[tuple[float, float], tuple[int, int]]:
    """Along one axis: which pixels of the image are seen, and which of the picture show them."""
    seen = max(0.0, start), min(1.0, start + length)
    shown = tuple(round((share - start) / length * side) for share in seen)
    return (seen[0] * pixels, seen[1] * pixels), (shown[0], shown[1])


def _through(view: _View, labelling: Labelling) -> Labelling:
    """Boxes as shares of the view, cut at its edges; those of which little is left are left out."""
    boxes = _shares_of(view, labelling.boxes)
    cut = boxes.clip(0, 1)
    visible = _areas(cut) >= _LEAST_VISIBLE * _areas(boxes)
    ignored = _shares_of(view, labelling.ignored).clip(0, 1)
    return Labelling(cut[visible], labelling.labels[visible], ignored[_areas(ignored) > 0])


def _shares_of(view: _View, boxes: Shares) -> Shares:
    offset = np.array([view.left, view.top] * 2, dtype=np.float32)
    scale = np.array([view.width, view.height] * 2, dtype=np.float32)
    shares: Shares = (boxes - offset) / scale
    return shares


def _without_specks(labelling: Labelling, side: int) -> Labelling:
    width, height = (labelling.boxes[:, 2:] - labelling.boxes[:, :2]).T * side
    kept = np.minimum(width, height) >= _LEAST_SIDE
    return Labelling(labelling.boxes[kept], labelling.labels[kept], labelling.ignored)


def _mirrored(boxes: Shares) -> Shares:
    left, top, right, bottom = boxes.T
    return np.stack([1 - right, top, 1 - left, bottom], 1)


def _areas(boxes: Shares) -> Shares:
    areas: Shares = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return areas


def _relight(picture: Image.Image, strength: float, random: np.random.Generator) -> Image.Image:
    """Changes contrast, the strength of each colour, and brightness, by one table of 256 levels a colour."""
    contrast = 1 + random.uniform(-strength, strength) + random.uniform(-strength / 4, strength / 4, (3, 1))
    brightness = 255 * strength * random.uniform(-0.25, 0.25)
    levels = np.arange(256) * contrast + brightness
    return picture.point(levels.clip(0, 255).round().astype(np.uint8).flatten().tolist())


def _truth(labelling: Labelling, side: int) -> Truth:
    boxes, ignored = (
        torch.from_numpy(np.ascontiguousarray(each * side, dtype=np.float32))
        for each in (labelling.boxes, labelling.ignored)
    )
    return Truth(boxes, torch.from_numpy(labelling.labels.astype(np.int64)), ignored)
