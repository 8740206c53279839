"""A logo as it is seen somewhere on a scene: smaller, turned, a little from aside."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from sightsmith_training.engine.detection.cutting_out import Logo

_TURN = 10.0  # Degrees; the standard deviation.
_BEND = 0.12  # How far a corner is drawn away, as a share of the logo's sides: seen from aside.
_VISIBLE = 64  # Opacity from which a pixel belongs to the logo.
_LEAST_SIDE = 8  # Pixels of a logo; below this it cannot be told.
_FINER = 2  # Logos are drawn so much larger and then made smaller, which makes their edges smooth.

_Corners = npt.NDArray[np.float64]
Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the scene."""


@dataclass(frozen=True)
class Pasted:
    """Pixels and where on the scene they lie.

    Attributes:
        pixels: RGBA.
        shape: grey; how much of each pixel belongs to the logo itself.
        left: of the first column, in pixels of the scene.
        top: of the first row.
    """

    pixels: Image.Image
    shape: Image.Image
    left: int
    top: int

    @property
    def covered(self) -> Box:
        """What may be hidden by it."""
        return self.left, self.top, self.left + self.pixels.width, self.top + self.pixels.height

    @property
    def visible_part(self) -> Box | None:
        """Where the logo itself can be seen; None if that is too little to be told."""
        box = self.shape.point(lambda level: 255 * (level >= _VISIBLE)).getbbox()
        if box is None or min(box[2] - box[0], box[3] - box[1]) < _LEAST_SIDE:
            return None
        return self.left + box[0], self.top + box[1], self.left + box[2], self.top + box[3]


def seen_from_aside(logo: Logo, side: int, sizes: tuple[float, float], random: np.random.Generator) -> Pasted:
    """Chooses size, place, turn and bend of a logo.

    Args:
        logo: what is to be pasted.
        side: of the scene in pixels.
        sizes: least and most of the longer side of what is pasted, as a share of the scene's; every scale is as likely.
        random: decides everything.
    """
    corners = _corners(logo.pixels.size, side, sizes, random)
    left, top = np.floor(corners.min(axis=0)).clip(0, side - 1).astype(int).tolist()
    right, bottom = np.ceil(corners.max(axis=0)).clip(1, side).astype(int).tolist()
    size = (max(1, right - left), max(1, bottom - top))
    # With colours weighted by opacity, as this mode has them, nothing shines through at the edges.
    pixels = _draw(logo.pixels.convert("RGBa"), corners - (left, top), size).convert("RGBA")
    return Pasted(pixels, _draw(logo.shape, corners - (left, top), size), left, top)


def _draw(picture: Image.Image, corners: _Corners, size: tuple[int, int]) -> Image.Image:
    """Draws a picture so that its corners come to lie where they are wanted, in a picture of this size."""
    drawn = _not_much_larger(picture, _FINER * max(size))
    source = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * np.array(drawn.size)
    numbers = _perspective(corners * _FINER, source)
    fine = (size[0] * _FINER, size[1] * _FINER)
    drawn = drawn.transform(fine, Image.Transform.PERSPECTIVE, numbers, Image.Resampling.BILINEAR)
    return drawn.resize(size, Image.Resampling.BOX)


def _corners(shown: tuple[int, int], side: int, sizes: tuple[float, float], random: np.random.Generator) -> _Corners:
    """Where the corners of a picture lie on the scene, shape [4, 2]."""
    size = side * np.exp(random.uniform(*np.log(sizes))) / max(shown)
    half = np.array(shown) * size / 2
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    corners = corners + random.uniform(-_BEND, _BEND, (4, 2)) * half
    angle = np.deg2rad(random.normal(0, _TURN))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = corners @ turn
    reach = np.minimum(np.abs(corners).max(axis=0), side / 2)
    placed: _Corners = corners + random.uniform(reach, side - reach)
    return placed


def _not_much_larger(picture: Image.Image, length: int) -> Image.Image:
    """Shrinks a picture that would lose its details when it is drawn so small."""
    factor = max(picture.size) // length
    return picture.reduce(factor) if factor > 1 else picture


def _perspective(seen: _Corners, source: _Corners) -> list[float]:
    """The eight numbers that lead from where four points are seen to where they are in the picture."""
    rows, wanted = [], []
    for (x, y), (u, v) in zip(seen, source, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        wanted += [u, v]
    numbers: list[float] = np.linalg.solve(np.array(rows), np.array(wanted)).tolist()
    return numbers
