"""Features of frozen networks, and how they are evened out before a linear layer."""

import numpy as np
import numpy.typing as npt

Features = npt.NDArray[np.float32]
"""Shape [images, features]."""

EVEN_OUT_OFFSET = 0.001
"""Added before the root, whose slope at zero would magnify rounding errors without bound."""


def even_out(features: Features) -> Features:
    """The square root of each feature: the power normalisation of Perronnin et al. (ECCV 2010, section 3.2).

    Means of rectified activations are mostly near zero with a few large ones, which a linear classifier then follows
    too far. Under the root every feature counts more alike. Features must not be negative.
    """
    evened: Features = np.sqrt(features + np.float32(EVEN_OUT_OFFSET))
    return evened
