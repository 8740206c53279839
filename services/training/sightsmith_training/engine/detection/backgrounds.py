"""What logos are set upon: parts of pictures without any logo, and noise where there are few of them."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from sightsmith_training.engine.samples import Pixels

_GRAINS = (2, 4, 8, 16, 32, 64)  # Patches along a side: from large patches of colour to fine grain.
_TEXTURES = 4  # Noise is drawn as often as from so many pictures.


def draw_background(pictures: Sequence[Pixels], side: int, random: np.random.Generator) -> Image.Image:
    """Draws a part of one of the pictures, mirrored or not; or noise, the more often the fewer pictures there are.

    Args:
        pictures: squares, shape [pictures, pixels, pixels, 3]; may be none.
        side: of the result in pixels.
        random: decides everything.
    """
    if random.random() * (len(pictures) + _TEXTURES) < _TEXTURES:
        return Image.fromarray(draw_texture(side, random))
    picture = Image.fromarray(np.asarray(pictures[int(random.integers(len(pictures)))]))
    if random.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    length = picture.width * random.uniform(0.5, 1)
    left, top = (random.uniform(0, picture.width - length) for _ in range(2))
    return picture.resize((side, side), Image.Resampling.BILINEAR, box=(left, top, left + length, top + length))


def draw_texture(side: int, random: np.random.Generator) -> Pixels:
    """Adds up noise of several grains, as in Perlin, "An Image Synthesizer" (1985); shape [side, side, 3].

    How strong each grain is changes from picture to picture: some are smooth as a wall, others busy as a crowd. As on
    photographs, light changes more than colour.
    """
    texture = np.full((side, side, 3), random.uniform(60, 200, 3))
    colourful = random.uniform(0.1, 0.6)
    for grain in _GRAINS:
        strength = random.uniform(0, 90) / grain ** random.uniform(0.1, 0.6)
        patches = _patches(grain, side, random)
        light = patches.mean(axis=2, keepdims=True)
        texture += strength * (light * np.sqrt(3) + colourful * (patches - light))
    return np.asarray(texture.clip(0, 255).round().astype(np.uint8))


def _patches(grain: int, side: int, random: np.random.Generator) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Patches of random colours between -1 and 1, with soft or sharp edges; shape [side, side, 3]."""
    small = Image.fromarray(random.integers(0, 256, (grain, grain, 3), dtype=np.uint8))
    soft = random.random() < 0.7
    large = small.resize((side, side), Image.Resampling.BICUBIC if soft else Image.Resampling.NEAREST)
    return np.asarray(large, dtype=np.float64) / 127.5 - 1
