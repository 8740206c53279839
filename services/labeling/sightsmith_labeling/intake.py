"""Intake: every image that comes in, however it comes, is checked, hashed, measured and stored here."""

import asyncio
import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image

from sightsmith.images import ImageInfo, ImageLimits, inspect_and_shrink
from sightsmith.objects import Objects, image_key, thumbnail_key
from sightsmith_labeling.settings import LabelingSettings
from sightsmith_labeling.signals import Signals, measure

# Good enough to recognise a picture by, at a third of the size of the best quality.
_THUMBNAIL_QUALITY = 80


@dataclass(frozen=True)
class IntakeLimits:
    """What an image may be, and how much is worked on at once.

    Attributes:
        image: what is accepted as an image.
        thumbnail_side: longest side of a thumbnail in pixels.
        at_once: images that are decoded beside each other.
    """

    image: ImageLimits
    thumbnail_side: int
    at_once: int

    @classmethod
    def of(cls, settings: LabelingSettings) -> "IntakeLimits":
        """The limits that the settings give."""
        return cls(
            image=ImageLimits(settings.max_image_bytes, settings.max_image_pixels, settings.min_image_side),
            thumbnail_side=settings.thumbnail_side,
            at_once=settings.upload_concurrency,
        )


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


class Intake:
    """Takes images in. Its limits hold for everything that one process takes in."""

    def __init__(self, objects: Objects, limits: IntakeLimits) -> None:
        self._objects = objects
        self._limits = limits
        # Decoding a picture takes many times its encoded size, so it is bounded for the whole process.
        self._threads = ThreadPoolExecutor(limits.at_once, thread_name_prefix="intake")

    async def keep(self, source: str, data: bytes) -> KeptImage:
        """Checks an image and stores its bytes and its thumbnail; what is stored already stays.

        Raises:
            ImageError: if it is not an image that is taken.
            UnavailableError: if the object store cannot be reached.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._keep, source, data)

    async def thumbnail(self, sha256: str) -> bytes:
        """The small picture of an image that is stored: a JPEG. It is made now if the image came before thumbnails did.

        Raises:
            FileNotFoundError: if the image's bytes are not stored.
            UnavailableError: if the object store cannot be reached.
        """
        try:
            return await self._objects.get(thumbnail_key(sha256))
        except FileNotFoundError:
            data = await self._objects.get(image_key(sha256))
        _, thumbnail = await asyncio.get_running_loop().run_in_executor(self._threads, self._examine, "", data)
        await self._objects.put_once(thumbnail_key(sha256), thumbnail)
        return thumbnail

    def close(self) -> None:
        """Lets go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _keep(self, source: str, data: bytes) -> KeptImage:
        """Slow, and done by libraries that let other threads run meanwhile."""
        kept, thumbnail = self._examine(source, data)
        # The image last: where it is, its thumbnail is too.
        self._objects.put_once_from_thread(thumbnail_key(kept.sha256), thumbnail)
        self._objects.put_once_from_thread(image_key(kept.sha256), data)
        return kept

    def _examine(self, source: str, data: bytes) -> tuple[KeptImage, bytes]:
        info, small = inspect_and_shrink(data, self._limits.thumbnail_side, self._limits.image)
        kept = KeptImage(source, hashlib.sha256(data).hexdigest(), info, len(data), measure(small))
        return kept, _encoded(small)


def _encoded(thumbnail: Image.Image) -> bytes:
    file = io.BytesIO()
    thumbnail.save(file, "JPEG", quality=_THUMBNAIL_QUALITY)
    return file.getvalue()
