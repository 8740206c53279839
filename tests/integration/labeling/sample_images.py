"""Images made for tests, good and bad."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import ExifTags, Image


def encode(image: Image.Image, image_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def noise(seed: int, width: int = 64, height: int = 48, mode: str = "RGB") -> Image.Image:
    """A picture that no other seed has."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, bands), dtype=np.uint8)
    return Image.frombytes(mode, (width, height), pixels.tobytes())


def jpeg(seed: int, width: int = 64, height: int = 48) -> bytes:
    return encode(noise(seed, width, height), "JPEG", quality=80)


def rotated_jpeg(seed: int) -> bytes:
    """Stored lying, 80 × 60; upright it is 60 × 80."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return encode(noise(seed, 80, 60), "JPEG", exif=exif)


def png_16_bit(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 65536, (30, 40), dtype=np.uint16)
    return encode(Image.fromarray(pixels), "PNG")


def animated_gif() -> bytes:
    frames = [noise(seed, 32, 32) for seed in range(3)]
    return encode(frames[0], "GIF", save_all=True, append_images=frames[1:])


def bomb() -> bytes:
    """A PNG of a few bytes whose header promises 100,000 × 100,000 pixels."""

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", size) + part(b"IDAT", zlib.compress(bytes(100))) + part(b"IEND", b"")
