"""Training scenes for brand detection: pictures of logos, whose labels are known, set into pictures of anything.

Dwibedi, Misra, Hebert, "Cut, Paste and Learn" (2017): a detector learns from pasted objects nearly as well as from
labelled photographs, provided that size, place, turn, light and edges differ from scene to scene.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance, ImageFilter

from sightsmith_training.engine.detection.backgrounds import draw_background
from sightsmith_training.engine.detection.cutting_out import Logo, cut_out, rounded_shape
from sightsmith_training.engine.detection.labelling import Labelling
from sightsmith_training.engine.detection.pasting import Box, Pasted, seen_from_aside
from sightsmith_training.engine.samples import Pixels

_SIZES = (0.05, 0.6)  # Longer side of a logo, as a share of the scene's.
_SCRAP_SIZES = (0.05, 0.3)
_SCRAP = 1 / 3  # Of the sides of a logo: too little to know it by.
_MOST_SCRAPS = 2
_PLATES = 0.5  # Share of the logos that stay on the colour that they came on.
_PLATE = 0.25  # Most of it around a logo, as a share of the logo.
_ROUNDED = 0.5  # Share of the logos without transparent parts that lose their corners.
_CORNERS = (2.0, 10.0)  # Exponents of a superellipse: from round to nearly square.
_MOST_LOGOS = 3
_EMPTY = 0.12  # Share of the scenes without any logo.
_TRIES = 8  # To find a place that no other logo has.


@dataclass(frozen=True)
class Logos:
    """Pictures to compose scenes from.

    Attributes:
        pictures: each of one logo; shape [pictures, side, side, 4]: squashed to squares, RGB with opacity.
        proportions: width of each, as a multiple of its height, before it was squashed.
        labels: of each picture.
    """

    pictures: Sequence[npt.NDArray[np.uint8]]
    proportions: Sequence[float]
    labels: Sequence[int]


def compose_scene(
    logos: Logos, backgrounds: Sequence[Pixels], side: int, random: np.random.Generator
) -> tuple[Pixels, Labelling]:
    """Composes a training scene.

    Args:
        logos: at least one; rare labels are drawn as often as others.
        backgrounds: squares without any of the logos, shape [backgrounds, side, side, 3]; may be none.
        side: of the scene in pixels.
        random: decides everything.

    Returns:
        The scene, shape [side, side, 3], and what is on it.
    """
    scene = draw_background(backgrounds, side, random)
    for _ in range(int(random.integers(_MOST_SCRAPS + 1))):
        _paste_scrap(scene, logos, random)
    boxes: list[Box] = []
    labels: list[int] = []
    for _ in range(0 if random.random() < _EMPTY else int(random.integers(1, _MOST_LOGOS + 1))):
        number = _pick(logos, random)
        box = _paste_logo(scene, _cut(logos, number, random), boxes, random)
        if box is not None:
            boxes.append(box)
            labels.append(logos.labels[number])
    shares = np.array(boxes, dtype=np.float32).reshape(-1, 4) / np.float32(side)
    return np.asarray(_as_photographed(scene, random)), Labelling(shares, np.array(labels, dtype=np.intp))


def _pick(logos: Logos, random: np.random.Generator) -> int:
    """First a label, then a picture of it."""
    labels = np.asarray(logos.labels)
    return int(random.choice(np.flatnonzero(labels == random.choice(np.unique(labels)))))


def _cut(logos: Logos, number: int, random: np.random.Generator) -> Logo:
    """A logo in its own proportions, with or without the colour around it."""
    picture, proportion = Image.fromarray(np.asarray(logos.pictures[number])), logos.proportions[number]
    width, height = (max(1, round(picture.width * share)) for share in (min(1, proportion), min(1, 1 / proportion)))
    plate = random.uniform(0, _PLATE) if random.random() < _PLATES else None
    return cut_out(picture.resize((width, height), Image.Resampling.BILINEAR), plate)


def _paste_scrap(scene: Image.Image, logos: Logos, random: np.random.Generator) -> None:
    """A small part of a logo, which teaches that colours and edges alone are no logo."""
    logo = _cut(logos, _pick(logos, random), random)
    left, top = (int(random.integers(round(side * (1 - _SCRAP)) + 1)) for side in logo.pixels.size)
    width, height = (max(1, round(side * _SCRAP)) for side in logo.pixels.size)
    part = (left, top, left + width, top + height)
    scrap = Logo(_relight(logo.pixels.crop(part), random), logo.shape.crop(part))
    _paste(scene, seen_from_aside(scrap, scene.width, _SCRAP_SIZES, random))


def _paste_logo(scene: Image.Image, logo: Logo, taken: Sequence[Box], random: np.random.Generator) -> Box | None:
    """Draws a logo where it hides no other one; None if there is no such place."""
    lit = Logo(_relight(_without_corners(logo.pixels, random), random), logo.shape)
    for _ in range(_TRIES):
        seen = seen_from_aside(lit, scene.width, _SIZES, random)
        box = seen.visible_part
        if box is not None and not any(_overlap(seen.covered, other) for other in taken):
            _paste(scene, seen)
            return box
    return None


def _paste(scene: Image.Image, seen: Pasted) -> None:
    scene.paste(seen.pixels.convert("RGB"), (seen.left, seen.top), seen.pixels.getchannel("A"))


def _without_corners(pixels: Image.Image, random: np.random.Generator) -> Image.Image:
    """The corners of plates and of pictures without margin show surroundings, which differ from place to place."""
    if random.random() >= _ROUNDED or pixels.getchannel("A").getextrema() != (255, 255):
        return pixels
    rounded = pixels.copy()
    rounded.putalpha(rounded_shape(pixels.size, random.uniform(*_CORNERS)))
    return rounded


def _relight(pixels: Image.Image, random: np.random.Generator) -> Image.Image:
    lit = ImageEnhance.Brightness(pixels).enhance(random.uniform(0.6, 1.15))
    opacity = random.uniform(0.85, 1)
    lit.putalpha(pixels.getchannel("A").point(lambda level: round(level * opacity)))
    return lit


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _as_photographed(scene: Image.Image, random: np.random.Generator) -> Image.Image:
    """Some scenes are a little blurred, and all are noisy: so that cut edges are not what gives a logo away."""
    if random.random() < 0.5:
        scene = scene.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 1.2)))
    noise = random.standard_normal((scene.height, scene.width, 1), np.float32) * np.float32(random.uniform(0, 8))
    return Image.fromarray((np.asarray(scene) + noise).clip(0, 255).round().astype(np.uint8))
