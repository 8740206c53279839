"""Drawn pictures: red and blue rectangles on grey noise."""

import numpy as np

from sightsmith_training.engine.detection.labelling import Labelling

COLOURS = ((220, 30, 30), (30, 30, 220))


def draw_shapes(images: int, side: int, seed: int = 0):
    """Squares [images, side, side, 3] with one rectangle each, and their labellings."""
    random = np.random.default_rng(seed)
    squares = random.integers(90, 140, (images, side, side, 3), dtype=np.uint8)
    labellings = []
    for square in squares:
        label = int(random.integers(2))
        width, height = random.integers(side // 4, side // 2, 2)
        left, top = random.integers(0, side - width), random.integers(0, side - height)
        square[top : top + height, left : left + width] = COLOURS[label]
        box = np.array([[left, top, left + width, top + height]], dtype=np.float32) / side
        labellings.append(Labelling(box, np.array([label])))
    return squares, labellings
