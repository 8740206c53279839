"""What is known of the training images, in one shape for one label an image and for several."""

from typing import Literal

import numpy as np
import numpy.typing as npt

Activation = Literal["softmax", "sigmoid"]
"""What turns logits into scores: `softmax` for exactly one label an image, `sigmoid` for any number of labels."""

Truth = npt.NDArray[np.bool_]
"""Shape [images, labels]: which labels each image carries. A row without any is a negative."""

Logits = npt.NDArray[np.float64]
"""Shape [images, labels], before the activation."""

Probabilities = npt.NDArray[np.float64]
"""Shape [images, labels], 0 to 1."""

Rows = npt.NDArray[np.intp]
"""Positions of images."""


def usable_rows(truth: Truth, activation: Activation) -> Rows:
    """The images that can teach: all of them under a sigmoid, those with a label under a softmax."""
    return np.flatnonzero(truth.any(axis=1)) if activation == "softmax" else np.arange(len(truth))


def balanced_weights(truth: Truth, activation: Activation) -> npt.NDArray[np.float64]:
    """What each image counts for each label, so that rare labels weigh as much as common ones; 1 on average.

    Returns:
        Shape [images, 1] for a softmax, where all labels weigh the same; [images, labels] for a sigmoid, where the
        images with a label weigh as much as those without it.
    """
    images, labels = truth.shape
    carriers = np.maximum(truth.sum(axis=0), 1)
    if activation == "softmax":
        return np.asarray(truth @ (images / (labels * carriers)))[:, None]
    others = np.maximum(images - truth.sum(axis=0), 1)
    return np.asarray(np.where(truth, images / (2 * carriers), images / (2 * others)))
