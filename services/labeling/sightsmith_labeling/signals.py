"""What the pixels of an image say by themselves: how bright, how rich and how sharp it is, and what it looks like.

All of it is measured on the grey thumbnail, so that images of any size are judged alike.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

_HASH_SIDE = 8


@dataclass(frozen=True)
class Signals:
    """Measures of one picture.

    Attributes:
        dhash: its difference hash, 64 bits as 16 hexadecimal digits. Pictures that look alike differ in few bits.
        brightness: mean of the pixels, 0 (black) to 255 (white).
        contrast: standard deviation of the pixels, 0 (all equal) to 127.5.
        sharpness: variance of the Laplacian, 0 (no edges) and up; small for a blurred picture. Pech-Pacheco et al.,
            "Diatom autofocusing in brightfield microscopy" (2000).
    """

    dhash: str
    brightness: float
    contrast: float
    sharpness: float


def measure(picture: Image.Image) -> Signals:
    """Measures an upright picture."""
    grey = picture.convert("L")
    brightness, contrast = _mean_and_deviation(grey)
    return Signals(
        dhash=_difference_hash(grey),
        brightness=round(brightness, 3),
        contrast=round(contrast, 3),
        sharpness=round(_variance_of_laplacian(np.asarray(grey, dtype=np.int16)), 3),
    )


def _mean_and_deviation(grey: Image.Image) -> tuple[float, float]:
    """Of the pixels, by way of their histogram: 256 numbers instead of one for each pixel."""
    counts = np.array(grey.histogram())
    shares = counts / counts.sum()
    values = np.arange(len(counts))
    mean = float(values @ shares)
    return mean, float((values - mean) ** 2 @ shares) ** 0.5


def _difference_hash(grey: Image.Image) -> str:
    """Whether each of 8 × 8 patches is darker than the one to its right.

    N. Krawetz, "Kind of like that" (hackerfactor.com, 2013).
    """
    patches = np.asarray(grey.resize((_HASH_SIDE + 1, _HASH_SIDE), Image.Resampling.BOX))
    return np.packbits(patches[:, :-1] < patches[:, 1:]).tobytes().hex()


def _variance_of_laplacian(pixels: npt.NDArray[np.int16]) -> float:
    if min(pixels.shape) <= 2:
        return 0.0
    edges = pixels[:-2, 1:-1] + pixels[2:, 1:-1] + pixels[1:-1, :-2] + pixels[1:-1, 2:] - 4 * pixels[1:-1, 1:-1]
    # From the sums, in single precision: `var` takes several times as long. The mean is near 0, so nothing cancels out.
    values = edges.astype(np.float32).ravel()
    return float(values @ values) / len(values) - (float(values.sum()) / len(values)) ** 2
