"""Small pictures of images: those that labeling made or, where there are none, new ones."""

import asyncio
import io
from collections.abc import Iterable, Mapping

from PIL import Image

from sightsmith.images import ImageError, ImageLimits, inspect_and_shrink
from sightsmith.objects import Objects, thumbnail_key
from sightsmith_training.engine.specification import SpecEntry

_AT_ONCE = 16
_SIDE = 320
_QUALITY = 80
# Labeling may be set to make large ones, of which hundreds would make a page too large to be opened.
_LARGEST_BYTES = 100_000


async def fetch_thumbnails(objects: Objects, entries: Iterable[SpecEntry], limits: ImageLimits) -> Mapping[str, bytes]:
    """Small JPEGs of images, by the images' resource names; a grey one where an image is gone.

    Args:
        objects: where images and thumbnails are.
        entries: the images.
        limits: what an image may be.

    Raises:
        UnavailableError: if the object store cannot be reached.
    """
    one_of_few = asyncio.Semaphore(_AT_ONCE)

    async def fetch(entry: SpecEntry) -> tuple[str, bytes]:
        async with one_of_few:
            return entry.image, await _thumbnail(objects, entry, limits)

    return dict(await asyncio.gather(*map(fetch, entries)))


async def _thumbnail(objects: Objects, entry: SpecEntry, limits: ImageLimits) -> bytes:
    for key in (thumbnail_key(entry.sha256), entry.key):
        try:
            data = await objects.get(key)
        except FileNotFoundError:
            continue
        if key != entry.key and len(data) <= _LARGEST_BYTES:
            return data
        return await asyncio.to_thread(_shrunk, data, limits)
    return _grey()


def _shrunk(data: bytes, limits: ImageLimits) -> bytes:
    try:
        return _jpeg(inspect_and_shrink(data, _SIDE, limits)[1])
    except ImageError:
        return _grey()


def _grey() -> bytes:
    return _jpeg(Image.new("RGB", (_SIDE, _SIDE), "#888888"))


def _jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
