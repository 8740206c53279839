"""Photos with drawn signs on them, whose boxes are known: a set to train detectors on that comes with no dataset."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from skimage import data
from sklearn.datasets import load_sample_images

SIDE = 256
LABELS = {"disc": (220, 40, 40), "square": (40, 80, 220)}


@dataclass(frozen=True)
class DrawnScene:
    """An encoded picture and its boxes: label, left, top, width and height in pixels."""

    name: str
    encoded: bytes
    boxes: list[tuple[str, int, int, int, int]]


def draw_scenes(count: int, seed: int, most_signs: int = 3) -> list[DrawnScene]:
    """Draws scenes; every tenth is background with nothing on it."""
    random = np.random.default_rng(seed)
    pictures = _photos()
    return [
        _draw(f"scene-{seed}-{number}", pictures[number % len(pictures)], 0 if number % 10 == 9 else most_signs, random)
        for number in range(count)
    ]


def _photos() -> list[Image.Image]:
    own = [Image.open(Path(data.__file__).with_name(f"{name}.png")).convert("RGB") for name in ("chelsea", "coffee")]
    return [*(Image.fromarray(image) for image in load_sample_images().images), *own]


def _draw(name: str, photo: Image.Image, most_signs: int, random: np.random.Generator) -> DrawnScene:
    left, top = (int(random.integers(0, size - SIDE)) for size in photo.size)
    scene = photo.crop((left, top, left + SIDE, top + SIDE))
    pen = ImageDraw.Draw(scene)
    boxes: list[tuple[str, int, int, int, int]] = []
    for _ in range(int(random.integers(1, most_signs + 1)) if most_signs else 0):
        size = int(random.integers(40, 90))
        x, y = (int(random.integers(0, SIDE - size)) for _ in range(2))
        if any(abs(x - other[1]) < 90 and abs(y - other[2]) < 90 for other in boxes):
            continue
        label = list(LABELS)[int(random.integers(len(LABELS)))]
        draw = pen.ellipse if label == "disc" else pen.rectangle
        draw((x, y, x + size - 1, y + size - 1), fill=LABELS[label], outline="white", width=5)
        boxes.append((label, x, y, size, size))
    buffer = io.BytesIO()
    scene.save(buffer, "JPEG", quality=90)
    return DrawnScene(name, buffer.getvalue(), boxes)
