"""Encoded images: what is accepted, and how one becomes the pixels that a model sees.

Labeling checks images and makes thumbnails with `inspect_and_shrink`; training, the check of exports and inference
decode with `decode_square`. There is one decoder so that a model is served exactly the pixels it was trained on. Only
Pillow and numpy have to be there.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from sightsmith.shrinking import fitted_size, shrunk

ImageErrorReason = Literal[
    "IMAGE_EMPTY", "IMAGE_UNREADABLE", "IMAGE_TRUNCATED", "IMAGE_TOO_LARGE", "IMAGE_TOO_SMALL", "IMAGE_ANIMATED"
]

# Pillow's own guard is one number for the whole process, and only warns up to twice that number. `ImageLimits` replaces
# it: `_open` compares the size in the header with the caller's limit before a single pixel is decoded.
Image.MAX_IMAGE_PIXELS = None

_MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",  # A JPEG followed by further views (phones, 3D cameras). Every viewer shows the first.
    "PNG": "image/png",
    "WEBP": "image/webp",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "GIF": "image/gif",
}
_FORMATS = [name for name in _MEDIA_TYPES if name != "MPO"]  # Pillow's JPEG plugin opens MPO.

# EXIF 2.32, table 6: what must be done to the stored pixels so that they stand upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LYING = {5, 6, 7, 8}  # Orientations in which width and height change places.

# A JPEG decoder can halve the image while decoding, which is most of the speed. Stopping at twice the wanted side
# leaves the last, visible part of the shrinking to the better filter of `resize`.
_DRAFT_MARGIN = 2
_REDUCING_GAP = 3.0  # Pillow documents 3.0 as indistinguishable from a resize without the shortcut.


class ImageError(ValueError):
    """Bytes that are not an image we accept.

    Attributes:
        reason: why, for programs.
        metadata: the figures that belong to the reason, such as the size found and the limit.
    """

    def __init__(self, reason: ImageErrorReason, message: str, **metadata: object) -> None:
        super().__init__(message)
        self.reason: ImageErrorReason = reason
        self.metadata = {key: str(value) for key, value in metadata.items()}

    def __reduce__(self) -> tuple[Callable[..., "ImageError"], tuple[object, ...]]:
        """For pickling: images are decoded in other processes, too."""
        return partial(type(self), self.reason, str(self), **self.metadata), ()


@dataclass(frozen=True)
class ImageLimits:
    """What an image may be at most and must be at least.

    Attributes:
        max_bytes: largest encoded size in bytes.
        max_pixels: largest width × height.
        min_side: smallest width and height in pixels.
    """

    max_bytes: int = 20 * 1024 * 1024
    max_pixels: int = 50_000_000
    min_side: int = 1


@dataclass(frozen=True)
class ImageInfo:
    """What `inspect` found.

    Attributes:
        width: pixels from left to right, after the EXIF orientation is applied.
        height: pixels from top to bottom, after the EXIF orientation is applied.
        media_type: such as `image/jpeg`.
    """

    width: int
    height: int
    media_type: str


DEFAULT_LIMITS = ImageLimits()


def inspect(data: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> ImageInfo:
    """Checks that bytes are one whole image within the limits, decoding every pixel so that a cut file is found.

    Args:
        data: an encoded JPEG, PNG, WebP, BMP, TIFF or GIF image.
        limits: what is accepted.

    Returns:
        The upright size and the media type.

    Raises:
        ImageError: if the bytes are not such an image.
    """
    with _open(data, limits) as image:
        _to_rgb(image)
        return _info(image, image.size)


def upright_size(data: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> tuple[int, int]:
    """Reads width and height in pixels from an image's header, after the EXIF orientation is applied.

    Raises:
        ImageError: if the header is not that of such an image. Whether its pixels are whole is not looked at.
    """
    with _open(data, limits) as image:
        info = _info(image, image.size)
        return info.width, info.height


def inspect_and_shrink(data: bytes, side: int, limits: ImageLimits = DEFAULT_LIMITS) -> tuple[ImageInfo, Image.Image]:
    """Does what `inspect` does, and makes a small picture from the same decoding.

    A large JPEG is decoded at a fraction of its size. Its compressed data is read to the end all the same, so a cut or
    damaged file is found as `inspect` finds it.

    Args:
        data: an encoded JPEG, PNG, WebP, BMP, TIFF or GIF image.
        side: the longest side of the small picture in pixels, at least 1; a smaller image is not enlarged.
        limits: what is accepted.

    Returns:
        The upright size and the media type of the image; and the small picture, upright RGB, transparent parts over
        white.

    Raises:
        ImageError: if the bytes are not such an image.
    """
    with _open(data, limits) as image:
        size = image.size
        is_reduced = image.draft(None, (_DRAFT_MARGIN * side, _DRAFT_MARGIN * side)) is not None
        small = _to_rgb(image)
        if not is_reduced:
            size = image.size  # Pillow turned a TIFF upright while loading it.
        if (fitted := fitted_size(small.size, side)) != small.size:
            small = shrunk(small, fitted)
        turn = _UPRIGHT.get(_orientation(image))
        return _info(image, size), small.transpose(turn) if turn is not None else small


def decode_square(data: bytes, side: int, limits: ImageLimits = DEFAULT_LIMITS) -> npt.NDArray[np.uint8]:
    """Decodes an image to the square of pixels that models take.

    The image is turned upright, laid over white where it is transparent, and squashed (not cropped) to the square with
    an antialiased bicubic filter: nothing at the edge of a photo is lost.

    Args:
        data: an encoded JPEG, PNG, WebP, BMP, TIFF or GIF image.
        side: width and height of the result in pixels, at least 1.
        limits: what is accepted.

    Returns:
        RGB pixels of shape [side, side, 3], contiguous, 0 to 255.

    Raises:
        ImageError: if the bytes are not such an image.
    """
    with _open(data, limits) as image:
        image.draft(None, (_DRAFT_MARGIN * side, _DRAFT_MARGIN * side))
        return np.array(_upright_square(image, _to_rgb(image), side))


def decode_square_with_opacity(data: bytes, side: int, limits: ImageLimits = DEFAULT_LIMITS) -> npt.NDArray[np.uint8]:
    """Does what `decode_square` does, and keeps what is transparent as it is.

    Args:
        data: an encoded JPEG, PNG, WebP, BMP, TIFF or GIF image.
        side: width and height of the result in pixels, at least 1.
        limits: what is accepted.

    Returns:
        RGB pixels with their opacity, of shape [side, side, 4], contiguous, 0 to 255.

    Raises:
        ImageError: if the bytes are not such an image.
    """
    with _open(data, limits) as image:
        image.draft(None, (_DRAFT_MARGIN * side, _DRAFT_MARGIN * side))
        rgb = _to_rgb(image)
        picture = image.convert("RGBA") if image.has_transparency_data else rgb.convert("RGBA")
        # Colours weighted by opacity, as this mode has them: what cannot be seen does not shine through at edges.
        return np.array(_upright_square(image, picture.convert("RGBa"), side).convert("RGBA"))


def _upright_square(image: Image.Image, pixels: Image.Image, side: int) -> Image.Image:
    """Squashes the decoded pixels of an image and turns them as it wishes to be seen."""
    square = pixels.resize((side, side), Image.Resampling.BICUBIC, reducing_gap=_REDUCING_GAP)
    turn = _UPRIGHT.get(_orientation(image))
    return square.transpose(turn) if turn is not None else square


@contextmanager
def _open(data: bytes, limits: ImageLimits) -> Iterator[Image.Image]:
    """Opens an image whose header passes the limits. No pixel has been decoded yet."""
    if not data:
        raise ImageError("IMAGE_EMPTY", "the image has no bytes")
    if len(data) > limits.max_bytes:
        raise ImageError(
            "IMAGE_TOO_LARGE",
            f"the image has {len(data)} bytes, more than the {limits.max_bytes} allowed",
            bytes=len(data),
            limit=limits.max_bytes,
        )
    with _read_header(data) as image:
        _check_size(image.size, limits)
        _check_single(image)
        yield image


def _read_header(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=_FORMATS)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's parsers raise almost any type on hostile bytes.
        raise ImageError(
            "IMAGE_UNREADABLE", "the bytes are not a readable JPEG, PNG, WebP, BMP, TIFF or GIF image"
        ) from error


def _check_size(size: tuple[int, int], limits: ImageLimits) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        raise ImageError(
            "IMAGE_TOO_LARGE",
            f"the image has {width} × {height} pixels, more than the {limits.max_pixels} allowed",
            width=width,
            height=height,
            limit=limits.max_pixels,
        )
    if min(width, height) < limits.min_side:
        raise ImageError(
            "IMAGE_TOO_SMALL",
            f"the image is {width} × {height} pixels; each side needs at least {limits.min_side}",
            width=width,
            height=height,
            limit=limits.min_side,
        )


def _check_single(image: Image.Image) -> None:
    if image.format == "MPO":
        return
    try:
        several = bool(getattr(image, "is_animated", False))
        image.seek(0)
    except MemoryError:
        raise
    except Exception as error:
        raise _damaged(image) from error
    if several:
        raise ImageError(
            "IMAGE_ANIMATED",
            f"the {image.format} file holds several frames or pages; an image must be a single picture",
            format=image.format,
        )


def _to_rgb(image: Image.Image) -> Image.Image:
    """Decodes the pixels to 8-bit RGB, transparent parts over white; not yet turned upright."""
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:
        raise _damaged(image) from error
    try:
        return _convert(image)
    except (ValueError, KeyError) as error:
        raise ImageError(
            "IMAGE_UNREADABLE",
            f"pixels of the kind {image.mode!r} are not supported; save the image as 8-bit RGB or grey",
            mode=image.mode,
        ) from error


def _convert(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        # Pillow's own conversion clips at 255, which turns nearly every 16-bit picture white.
        samples = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((samples + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError("32-bit samples have no agreed white")
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB")
    return image.convert("RGB")


def _info(image: Image.Image, size: tuple[int, int]) -> ImageInfo:
    """What there is to tell of a loaded image; `size` is that of its stored pixels."""
    width, height = size
    if _orientation(image) in _LYING:
        width, height = height, width
    return ImageInfo(width, height, _MEDIA_TYPES[str(image.format)])


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, read after loading: Pillow turns TIFF upright by itself and then drops the tag."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except MemoryError:
        raise
    except Exception:  # Damaged metadata does not spoil a photo; every viewer shows such a file as it is stored.
        return 1
    return orientation if isinstance(orientation, int) else 1


def _damaged(image: Image.Image) -> ImageError:
    return ImageError(
        "IMAGE_TRUNCATED",
        f"the header says {image.format}, but the pixel data ends early or is damaged",
        format=image.format,
    )
