"""Squares of one side made into squares of another."""

import numpy as np
from PIL import Image

from sightsmith_training.engine.classification.truth import Rows
from sightsmith_training.engine.samples import Pixels


def resize_squares(squares: Pixels, rows: Rows, side: int) -> Pixels:
    """Takes some of the squares, shape [images, any, any, 3], and resizes them to [rows, side, side, 3]."""
    if squares.shape[1] == side:
        return np.ascontiguousarray(squares[rows])
    resized = np.empty((len(rows), side, side, 3), np.uint8)
    for place, row in enumerate(rows.tolist()):
        picture = Image.fromarray(np.ascontiguousarray(squares[row]))
        resized[place] = np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR))
    return resized
