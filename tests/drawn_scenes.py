"""Photos with drawn signs on them, whose boxes are known: a set to train detectors on that comes with no dataset."""

import io
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from skimage import data
from sklearn.datasets import load_sample_images

SIDE = 256
_PART = 256
LABELS = {"disc": (220, 40, 40), "square": (40, 80, 220)}


@dataclass(frozen=True)
class DrawnScene:
    """An encoded picture and its boxes: label, left, top, width and height in pixels."""

    name: str
    encoded: bytes
    boxes: list[tuple[str, int, int, int, int]]


def draw_scenes(
    count: int, seed: int, most_signs: int = 3, side: int = SIDE, sizes: tuple[int, int] = (40, 90)
) -> list[DrawnScene]:
    """Draws scenes; every tenth is background with nothing on it.

    Args:
        count: of scenes.
        seed: decides everything random.
        most_signs: on one scene.
        side: of the scenes in pixels.
        sizes: of the signs in pixels, the least and the first that is too large.
    """
    random = np.random.default_rng(seed)
    pictures = _photos()
    scenes = []
    for number in range(count):
        ground = _ground(pictures[number % len(pictures) :] + pictures[: number % len(pictures)], side, random)
        signs = 0 if number % 10 == 9 else int(random.integers(1, most_signs + 1))
        scenes.append(_draw(f"scene-{seed}-{number}", ground, signs, sizes, random))
    return scenes


def _photos() -> list[Image.Image]:
    own = [Image.open(Path(data.__file__).with_name(f"{name}.png")).convert("RGB") for name in ("chelsea", "coffee")]
    return [*(Image.fromarray(image) for image in load_sample_images().images), *own]


def _ground(photos: list[Image.Image], side: int, random: np.random.Generator) -> Image.Image:
    """What signs are drawn on: a part of the first photo, or as many parts of all of them as cover it."""
    ground = Image.new("RGB", (side, side))
    places = range(0, side, _PART)
    for number, (x, y) in enumerate(product(places, places)):
        photo = photos[number % len(photos)]
        left, top = (int(random.integers(0, size - _PART)) for size in photo.size)
        ground.paste(photo.crop((left, top, left + _PART, top + _PART)), (x, y))
    return ground


def _draw(name: str, scene: Image.Image, signs: int, sizes: tuple[int, int], random: np.random.Generator) -> DrawnScene:
    pen = ImageDraw.Draw(scene)
    boxes: list[tuple[str, int, int, int, int]] = []
    apart = sizes[1]
    for _ in range(signs):
        size = int(random.integers(*sizes))
        x, y = (int(random.integers(0, scene.width - size)) for _ in range(2))
        if any(abs(x - other[1]) < apart and abs(y - other[2]) < apart for other in boxes):
            continue
        label = list(LABELS)[int(random.integers(len(LABELS)))]
        draw = pen.ellipse if label == "disc" else pen.rectangle
        edge = max(1, round(size / 13))
        draw((x, y, x + size - 1, y + size - 1), fill=LABELS[label], outline="white", width=edge)
        boxes.append((label, x, y, size, size))
    buffer = io.BytesIO()
    scene.save(buffer, "JPEG", quality=90)
    return DrawnScene(name, buffer.getvalue(), boxes)
