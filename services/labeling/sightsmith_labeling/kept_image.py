"""An image as it is kept: what is found out about it from its bytes, and its thumbnail."""

import hashlib
import io
from dataclasses import dataclass

from PIL import Image

from sightsmith.images import ImageInfo, ImageLimits, inspect_and_shrink
from sightsmith_labeling.signals import Signals, measure

# Good enough to recognise a picture by, at a third of the size of the best quality.
_THUMBNAIL_QUALITY = 80


@dataclass(frozen=True)
class KeptImage:
    """An image whose bytes and thumbnail are stored.

    Attributes:
        source: where it came from.
        sha256: of its bytes, in lower-case hexadecimal digits.
    """

    source: str
    sha256: str
    info: ImageInfo
    size_bytes: int
    signals: Signals


def examine(source: str, data: bytes, thumbnail_side: int, limits: ImageLimits) -> tuple[KeptImage, bytes]:
    """Checks an image and measures it.

    Returns:
        What is found, and the thumbnail: a JPEG.

    Raises:
        ImageError: if it is not an image that is taken.
    """
    info, small = inspect_and_shrink(data, thumbnail_side, limits)
    kept = KeptImage(source, hashlib.sha256(data).hexdigest(), info, len(data), measure(small))
    return kept, _encoded(small)


def _encoded(thumbnail: Image.Image) -> bytes:
    file = io.BytesIO()
    thumbnail.save(file, "JPEG", quality=_THUMBNAIL_QUALITY)
    return file.getvalue()
