"""Similarity of embeddings, and the sketches by which similar ones are found without comparing all.

The features of a backbone are means of rectified activations: mostly near zero, with a few large ones that would decide
alone. Their square roots, scaled to length 1, count more alike, and are what the trained heads see too. The similarity
of two images is the cosine between these; no feature is negative, so it lies between 0 and 1.

A sketch is a random projection of such a vector to a few dimensions. Distances between sketches are those between the
vectors within some per cent (Achlioptas, Database-friendly random projections, 2003): good enough to pick candidates,
which are then compared by their vectors.
"""

import hashlib
import json
from functools import cache

import numpy as np
import numpy.typing as npt

from sightsmith_labeling.embeddings.tables import SKETCH_DIMENSIONS

Vectors = npt.NDArray[np.float32]
"""Shape [images, numbers]."""

_OFFSET = np.float32(0.001)
"""As in training: the slope of the root at zero would magnify rounding errors without bound."""


def directions(vectors: Vectors) -> Vectors:
    """Square roots of features, scaled to length 1, of the same shape; cosines are their inner products.

    Args:
        vectors: features as a backbone gives them, none negative: shape [images, features].
    """
    roots = np.sqrt(vectors + _OFFSET)
    scaled: Vectors = roots / np.linalg.norm(roots, axis=-1, keepdims=True)
    return scaled


def similarities(vector: Vectors, others: Vectors) -> Vectors:
    """How similar one embedding is to others, 0 to 1.

    Args:
        vector: shape [features].
        others: shape [images, features].

    Returns:
        Shape [images].
    """
    cosines: Vectors = np.clip(directions(others) @ directions(vector), 0, 1)
    return cosines


def sketches(vectors: Vectors) -> Vectors:
    """Sketches of shape [images, SKETCH_DIMENSIONS] of features of shape [images, features]."""
    projected: Vectors = directions(vectors) @ _projection(vectors.shape[-1])
    return projected


def vector_text(vector: Vectors) -> str:
    """A vector as pgvector reads it, to as many digits as 16-bit floats have."""
    return "[" + ",".join(f"{number:.5g}" for number in vector.tolist()) + "]"


def read_sketches(texts: list[str]) -> Vectors:
    """Sketches that pgvector wrote, of shape [images, SKETCH_DIMENSIONS]."""
    return np.array([json.loads(text) for text in texts], np.float32).reshape(-1, SKETCH_DIMENSIONS)


@cache
def _projection(features: int) -> Vectors:
    """Signs by chance, scaled so that lengths stay the same on average.

    From a hash and not from a random generator, whose numbers may change with its version: sketches are kept for ever.
    """
    count = features * SKETCH_DIMENSIONS
    bits = np.frombuffer(hashlib.shake_256(b"sightsmith sketch").digest((count + 7) // 8), np.uint8)
    signs = np.unpackbits(bits, count=count).astype(np.float32) * 2 - 1
    return signs.reshape(features, SKETCH_DIMENSIONS) / np.float32(np.sqrt(SKETCH_DIMENSIONS))
