"""Training scenes for brand detection: pictures of logos, whose labels are known, set into pictures of anything.

Dwibedi, Misra, Hebert, "Cut, Paste and Learn" (2017): a detector learns from pasted objects nearly as well as from
labelled photographs, provided that size, place, turn, light and edges differ from scene to scene.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance, ImageFilter

from sightsmith_training.engine.detection.cutting_out import Picture, cut_out
from sightsmith_training.engine.detection.scenes import Labelling
from sightsmith_training.engine.detection.textures import draw_texture
from sightsmith_training.engine.samples import Pixels

_SIZES = (0.05, 0.6)  # Longer side of a logo, as a share of the scene's.
_TURN = 10.0  # Degrees; the standard deviation.
_BEND = 0.12  # How far a corner is drawn away, as a share of the logo's sides: seen from aside.
_PLATES = 0.5  # Share of the logos that stay on the colour that they came on.
_MOST_LOGOS = 3
_EMPTY = 0.12  # Share of the scenes without any logo.
_TRIES = 8  # To find a place that no other logo has.
_VISIBLE = 64  # Opacity from which a pixel belongs to the logo.
_LEAST_SIDE = 8  # Pixels of a logo; below this it cannot be told.
_FINER = 2  # Logos are drawn so much larger and then made smaller, which makes their edges smooth.

_Corners = npt.NDArray[np.float64]
_Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Logos:
    """Pictures to compose scenes from.

    Attributes:
        pictures: each of one logo.
        labels: of each picture.
    """

    pictures: Sequence[Picture]
    labels: Sequence[int]


def compose_scenes(
    logos: Logos, backgrounds: Sequence[Picture], count: int, side: int, seed: int
) -> tuple[Pixels, list[Labelling]]:
    """Composes training scenes.

    Args:
        logos: at least one; rare labels are drawn as often as others.
        backgrounds: pictures without any of the logos; where there are none, noise is drawn.
        count: of scenes.
        side: of the scenes in pixels.
        seed: decides everything random.

    Returns:
        The scenes, shape [count, side, side, 3], and what is on each of them.
    """
    squares = np.empty((count, side, side, 3), np.uint8)
    labellings = []
    for number in range(count):
        random = np.random.default_rng([seed, number])
        squares[number], labelling = _compose(logos, _background(backgrounds, side, random), random)
        labellings.append(labelling)
    return squares, labellings


def _background(backgrounds: Sequence[Picture], side: int, random: np.random.Generator) -> Image.Image:
    """A part of one of the pictures."""
    if not len(backgrounds):
        return Image.fromarray(draw_texture(side, random))
    picture = Image.fromarray(np.asarray(backgrounds[int(random.integers(len(backgrounds)))])).convert("RGB")
    length = min(picture.size) * random.uniform(0.5, 1)
    left, top = (random.uniform(0, whole - length) for whole in picture.size)
    part = (left, top, left + length, top + length)
    return picture.resize((side, side), Image.Resampling.BILINEAR, box=part)


def _compose(logos: Logos, scene: Image.Image, random: np.random.Generator) -> tuple[Pixels, Labelling]:
    boxes: list[_Box] = []
    labels: list[int] = []
    for _ in range(0 if random.random() < _EMPTY else int(random.integers(1, _MOST_LOGOS + 1))):
        picture, label = _pick(logos, random)
        box = _place(scene, picture, boxes, random)
        if box is not None:
            boxes.append(box)
            labels.append(label)
    shares = np.array(boxes, dtype=np.float32).reshape(-1, 4) / np.float32(scene.width)
    return np.asarray(_as_photographed(scene, random)), Labelling(shares, np.array(labels, dtype=np.intp))


def _pick(logos: Logos, random: np.random.Generator) -> tuple[Picture, int]:
    """First a label, then a picture of it."""
    label = int(random.choice(np.unique(np.asarray(logos.labels))))
    own = np.flatnonzero(np.asarray(logos.labels) == label)
    return logos.pictures[int(random.choice(own))], label


def _place(scene: Image.Image, picture: Picture, taken: Sequence[_Box], random: np.random.Generator) -> _Box | None:
    """Draws a logo where no other one is; None if there is no such place."""
    logo = _relight(cut_out(picture, with_plate=bool(random.random() < _PLATES)), random)
    for _ in range(_TRIES):
        seen = _seen_from_aside(logo, scene.width, random)
        box = _visible_part(seen)
        if box is not None and not any(_overlap(box, other) for other in taken):
            scene.paste(seen.convert("RGB"), (0, 0), seen.getchannel("A"))
            return box
    return None


def _relight(logo: Image.Image, random: np.random.Generator) -> Image.Image:
    lit = ImageEnhance.Brightness(logo).enhance(random.uniform(0.6, 1.15))
    opacity = random.uniform(0.85, 1)
    lit.putalpha(logo.getchannel("A").point(lambda level: round(level * opacity)))
    return lit


def _seen_from_aside(logo: Image.Image, side: int, random: np.random.Generator) -> Image.Image:
    """The logo somewhere on an empty scene: RGBA, of this side."""
    fine = side * _FINER
    size = fine * np.exp(random.uniform(*np.log(_SIZES))) / max(logo.size)
    half = np.array(logo.size) * size / 2
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    corners = corners + random.uniform(-_BEND, _BEND, (4, 2)) * half
    angle = np.deg2rad(random.normal(0, _TURN))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = corners @ turn
    reach = np.minimum(np.abs(corners).max(axis=0), fine / 2)
    corners = corners + random.uniform(reach, fine - reach)
    source = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * np.array(logo.size)
    data = _perspective(corners, source)
    # With colours weighted by opacity, as this mode has them, nothing shines through at the edges.
    drawn = logo.convert("RGBa").transform((fine, fine), Image.Transform.PERSPECTIVE, data, Image.Resampling.BILINEAR)
    return drawn.resize((side, side), Image.Resampling.BOX).convert("RGBA")


def _perspective(seen: _Corners, source: _Corners) -> list[float]:
    """The eight numbers that lead from where four points are seen to where they are in the picture."""
    rows, wanted = [], []
    for (x, y), (u, v) in zip(seen, source, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        wanted += [u, v]
    numbers: list[float] = np.linalg.solve(np.array(rows), np.array(wanted)).tolist()
    return numbers


def _visible_part(seen: Image.Image) -> _Box | None:
    box = seen.getchannel("A").point(lambda level: 255 * (level >= _VISIBLE)).getbbox()
    if box is None or min(box[2] - box[0], box[3] - box[1]) < _LEAST_SIDE:
        return None
    left, top, right, bottom = box
    return left, top, right, bottom


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _as_photographed(scene: Image.Image, random: np.random.Generator) -> Image.Image:
    """Some scenes are a little blurred, and all are noisy: so that cut edges are not what gives a logo away."""
    if random.random() < 0.5:
        scene = scene.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 1.2)))
    noise = random.normal(0, random.uniform(0, 8), (scene.height, scene.width, 1))
    return Image.fromarray((np.asarray(scene) + noise).clip(0, 255).round().astype(np.uint8))
