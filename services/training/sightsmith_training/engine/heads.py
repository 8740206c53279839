"""Features of frozen networks, and how they are evened out before a linear layer."""

import numpy as np
import numpy.typing as npt

Features = npt.NDArray[np.float32]
"""Shape [images, features]."""

EVEN_OUT_OFFSET = np.float32(0.001)
"""Added before the root, whose slope at zero would magnify rounding errors without bound."""

EVENED_ZERO = np.sqrt(EVEN_OUT_OFFSET)
"""What zero becomes; features below it are mirrored at it."""


def even_out(features: Features) -> Features:
    """The square root of each feature: the power normalisation of Perronnin et al. (ECCV 2010, section 3.2).

    Means of rectified activations are mostly near zero with a few large ones, which a linear classifier then follows
    too far. Under the root every feature counts more alike. A negative feature, which networks without rectified
    activations have, goes as far to the other side: the same curve, mirrored at zero.
    """
    roots: Features = np.sqrt(np.abs(features) + EVEN_OUT_OFFSET)
    return np.where(features < 0, 2 * EVENED_ZERO - roots, roots)
