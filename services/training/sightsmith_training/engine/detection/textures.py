"""Backgrounds made of noise, for those who have no pictures of what their logos appear on."""

import numpy as np
from PIL import Image

from sightsmith_training.engine.samples import Pixels

_GRAINS = (2, 4, 8, 16, 32, 64)  # Patches along a side: from large patches of colour to fine grain.


def draw_texture(side: int, random: np.random.Generator) -> Pixels:
    """Adds up noise of several grains, as in Perlin, "An Image Synthesizer" (1985); shape [side, side, 3].

    How strong each grain is changes from picture to picture: some are smooth as a wall, others busy as a crowd.
    """
    texture = np.full((side, side, 3), random.uniform(60, 200, 3))
    for grain in _GRAINS:
        strength = random.uniform(0, 90) / grain ** random.uniform(0.1, 0.6)
        texture += strength * _patches(grain, side, random)
    return np.asarray(texture.clip(0, 255).round().astype(np.uint8))


def _patches(grain: int, side: int, random: np.random.Generator) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Patches of random colours between -1 and 1, with soft or sharp edges; shape [side, side, 3]."""
    small = Image.fromarray(random.integers(0, 256, (grain, grain, 3), dtype=np.uint8))
    soft = random.random() < 0.7
    large = small.resize((side, side), Image.Resampling.BICUBIC if soft else Image.Resampling.NEAREST)
    return np.asarray(large, dtype=np.float64) / 127.5 - 1
