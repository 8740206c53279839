"""The decoder that labeling, training and inference share, on images made here."""

import io
import struct
import zlib
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin

from sightsmith.images import (
    ImageError,
    ImageInfo,
    ImageLimits,
    decode_square,
    decode_square_with_opacity,
    inspect,
    inspect_and_shrink,
)

SMALL = ImageLimits(max_bytes=1_000_000, max_pixels=1_000_000, min_side=4)


def encode(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def gradient(width: int = 60, height: int = 40) -> Image.Image:
    """A picture without symmetry: red grows to the right, green downwards."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, np.full_like(x, 60)], axis=-1).astype(np.uint8))


def noise(width: int = 320, height: int = 240) -> Image.Image:
    """A picture that does not compress, so that a cut anywhere loses pixels."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def error_of(data: bytes, limits: ImageLimits = SMALL) -> ImageError:
    with pytest.raises(ImageError) as inspected:
        inspect(data, limits)
    with pytest.raises(ImageError) as decoded:
        decode_square(data, 16, limits)
    with pytest.raises(ImageError) as shrunk:
        inspect_and_shrink(data, 16, limits)
    assert decoded.value.reason == shrunk.value.reason == inspected.value.reason
    return inspected.value


@pytest.mark.parametrize(
    ("file_format", "media_type"),
    [
        ("JPEG", "image/jpeg"),
        ("PNG", "image/png"),
        ("WEBP", "image/webp"),
        ("BMP", "image/bmp"),
        ("TIFF", "image/tiff"),
        ("GIF", "image/gif"),
    ],
)
def test_each_format_is_accepted(file_format: str, media_type: str) -> None:
    data = encode(gradient(), file_format)
    assert inspect(data, SMALL) == ImageInfo(60, 40, media_type)
    pixels = decode_square(data, 16)
    assert pixels.shape == (16, 16, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    expected = np.asarray(gradient().resize((16, 16), Image.Resampling.BICUBIC), dtype=int)
    assert np.abs(pixels - expected).mean() < 12  # GIF has 256 colours, JPEG and WebP are lossy.


@pytest.mark.parametrize("file_format", ["ICO", "PPM", "TGA", "PCX"])
def test_other_formats_are_refused(file_format: str) -> None:
    assert error_of(encode(gradient(), file_format)).reason == "IMAGE_UNREADABLE"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(file_format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options: dict[str, Any] = {"exif": exif}
    if file_format == "JPEG":
        options |= {"quality": 95, "subsampling": 0}
    if file_format == "WEBP":
        options |= {"lossless": True}
    data = encode(gradient(), file_format, **options)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    info = inspect(data, SMALL)
    assert (info.width, info.height) == upright.size == ((40, 60) if orientation >= 5 else (60, 40))
    expected = np.asarray(upright.convert("RGB").resize((16, 16), Image.Resampling.BICUBIC), dtype=int)
    assert np.abs(decode_square(data, 16) - expected).max() <= 4


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_nonsense_orientation_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    assert inspect(encode(gradient(), "JPEG", exif=exif), SMALL).width == 60


def test_damaged_exif_does_not_spoil_the_picture() -> None:
    data = encode(gradient(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7fgarbage")
    assert inspect(data, SMALL) == ImageInfo(60, 40, "image/jpeg")


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)
    image = Image.fromarray(np.tile(ramp, (64, 1)))
    for file_format in ("PNG", "TIFF"):
        pixels = decode_square(encode(image, file_format), 64)
        assert np.abs(pixels[:, :, 0].astype(int) - ramp // 257).max() <= 1
        assert (pixels[..., 0] == pixels[..., 2]).all()


def test_big_endian_sixteen_bit_grey() -> None:
    ramp = np.tile(np.linspace(0, 65535, 64).astype(">u2"), (64, 1))
    image = Image.frombytes("I;16B", (64, 64), ramp.tobytes())
    pixels = decode_square(encode(image, "TIFF"), 64)
    assert np.abs(pixels[0, :, 0].astype(int) - ramp[0] // 257).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK"])
def test_opaque_modes_become_rgb(mode: str) -> None:
    white = Image.new("RGB", (20, 20), "white").convert(mode)
    data = encode(white, "TIFF")
    assert decode_square(data, 8).min() >= 254


def test_cmyk_jpeg() -> None:
    pixels = decode_square(encode(Image.new("CMYK", (32, 32), (0, 255, 255, 0)), "JPEG", quality=95), 8)
    assert (pixels[..., 0] > 245).all()
    assert (pixels[..., 1:] < 10).all()


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_transparent_parts_lie_over_white(mode: str, file_format: str) -> None:
    clear_black = Image.new(mode, (20, 20), (0, 0) if mode == "LA" else (0, 0, 0, 0))
    if (mode, file_format) != ("LA", "WEBP"):
        assert decode_square(encode(clear_black, file_format), 8).min() == 255


def test_half_transparent_red_is_pink() -> None:
    pixels = decode_square(encode(Image.new("RGBA", (20, 20), (255, 0, 0, 128)), "PNG"), 8)
    assert pixels[0, 0].tolist() == [255, 127, 127]


@pytest.mark.parametrize(("mode", "transparent"), [("P", 0), ("L", 0), ("RGB", (0, 0, 0)), ("P", b"\0\x80")])
def test_transparent_colour_lies_over_white(mode: str, transparent: Any) -> None:
    image = Image.new(mode, (20, 20), 0)
    assert decode_square(encode(image, "PNG", transparency=transparent), 8).min() == 255


def test_transparent_gif() -> None:
    image = Image.new("P", (20, 20), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    assert decode_square(encode(image, "GIF", transparency=0), 8).min() == 255


def test_one_pixel() -> None:
    data = encode(Image.new("RGB", (1, 1), (10, 20, 30)), "PNG")
    assert decode_square(data, 4)[3, 3].tolist() == [10, 20, 30]
    error = error_of(data)
    assert error.reason == "IMAGE_TOO_SMALL"
    assert error.metadata == {"width": "1", "height": "1", "limit": "4"}


def test_a_thin_line_can_be_squared() -> None:
    assert decode_square(encode(gradient(3000, 1), "PNG"), 16).shape == (16, 16, 3)


def test_one_picture_gives_one_square_at_any_jpeg_shortcut() -> None:
    """Draft decoding must not change what the model sees by more than noise."""
    photo = gradient(1600, 1200)
    fast = decode_square(encode(photo, "JPEG", quality=95), 64).astype(int)
    exact = decode_square(encode(photo, "PNG"), 64).astype(int)
    assert np.abs(fast - exact).mean() < 1


def png_header_bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [1001, 20_000, 2**31 - 1])
def test_a_bomb_is_refused_by_its_header(side: int) -> None:
    error = error_of(png_header_bomb(side, side))
    assert error.reason == "IMAGE_TOO_LARGE"
    assert error.metadata["width"] == str(side)
    assert error.metadata["limit"] == "1000000"


def test_the_limit_is_the_callers_not_pillows() -> None:
    wall = encode(Image.new("L", (14_000, 13_000)), "JPEG")  # Pillow by itself refuses more than 179 million pixels.
    assert decode_square(wall, 16, ImageLimits(max_pixels=200_000_000)).shape == (16, 16, 3)


def test_too_many_bytes() -> None:
    error = error_of(b"x" * 1_000_001)
    assert error.reason == "IMAGE_TOO_LARGE"
    assert error.metadata == {"bytes": "1000001", "limit": "1000000"}


def test_no_bytes() -> None:
    assert error_of(b"").reason == "IMAGE_EMPTY"


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_cut_files_are_found(file_format: str, share: float) -> None:
    data = encode(noise(), file_format)
    error = error_of(data[: int(len(data) * share)])
    assert error.reason in ("IMAGE_TRUNCATED", "IMAGE_UNREADABLE")
    if file_format in ("JPEG", "PNG", "BMP"):  # Their headers come first and survive the cut.
        assert error.reason == "IMAGE_TRUNCATED"
        assert error.metadata == {"format": file_format}


@pytest.mark.parametrize("length", [1, 2, 10, 100])
def test_cut_headers_are_unreadable(length: int) -> None:
    for file_format in ("JPEG", "PNG"):
        assert error_of(encode(noise(), file_format)[:length]).reason in ("IMAGE_UNREADABLE", "IMAGE_TRUNCATED")


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_several_frames_are_refused(file_format: str) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    error = error_of(encode(frames[0], file_format, save_all=True, append_images=frames[1:]))
    assert error.reason == "IMAGE_ANIMATED"
    assert error.metadata == {"format": file_format}


def test_mpo_is_a_jpeg_of_its_first_view() -> None:
    data = encode(Image.new("RGB", (20, 20), "red"), "MPO", save_all=True, append_images=[Image.new("RGB", (20, 20))])
    assert inspect(data, SMALL) == ImageInfo(20, 20, "image/jpeg")
    assert decode_square(data, 8)[0, 0, 0] > 250


@pytest.mark.parametrize("mode", ["I", "F"])
def test_samples_without_an_agreed_white_are_refused(mode: str) -> None:
    assert error_of(encode(Image.new(mode, (20, 20)), "TIFF")).reason == "IMAGE_UNREADABLE"


def test_text_is_unreadable() -> None:
    assert error_of(b"<svg xmlns='http://www.w3.org/2000/svg'/>").reason == "IMAGE_UNREADABLE"


def decodes_or_refuses(data: bytes) -> None:
    with suppress(ImageError):
        assert decode_square(data, 8, SMALL).shape == (8, 8, 3)
        inspect(data, SMALL)


_SAMPLES = [encode(gradient(24, 16), name) for name in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")]
_SIGNATURES = [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBPVP8 ", b"BM", b"II*\0", b"MM\0*", b"GIF89a"]


@given(st.binary(max_size=400))
def test_random_bytes_never_raise_anything_else(data: bytes) -> None:
    decodes_or_refuses(data)


@given(st.sampled_from(_SIGNATURES), st.binary(max_size=400))
def test_random_bytes_behind_a_signature_never_raise_anything_else(signature: bytes, data: bytes) -> None:
    decodes_or_refuses(signature + data)


@given(st.sampled_from(_SAMPLES), st.data())
def test_flipped_bytes_never_raise_anything_else(sample: bytes, data: st.DataObject) -> None:
    damaged = bytearray(sample)
    for position in data.draw(st.lists(st.integers(0, len(sample) - 1), min_size=1, max_size=8)):
        damaged[position] = data.draw(st.integers(0, 255))
    decodes_or_refuses(bytes(damaged))


def test_tiff_orientation_is_applied_once() -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[ExifTags.Base.Orientation] = 6
    data = encode(gradient(), "TIFF", tiffinfo=tags)
    info = inspect(data, SMALL)
    assert (info.width, info.height) == (40, 60)
    assert (
        decode_square(data, 16)[0, 0, 1] > 240
    )  # Turned right: the bottom left corner, the green one, comes to the top left.


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_shrunk_image_stands_upright(file_format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored = gradient(600, 400)
    options = {"lossless": True} if file_format == "WEBP" else {}
    data = encode(stored, file_format, exif=exif, **options)
    info, small = inspect_and_shrink(data, 60, SMALL)
    assert info == inspect(data, SMALL)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert (info.width, info.height) == upright.size
    assert small.size == ((60, 40) if info.width > info.height else (40, 60))
    expected = upright.convert("RGB").resize(small.size, Image.Resampling.HAMMING)
    assert np.abs(np.asarray(small, float) - np.asarray(expected, float)).mean() < 2


def test_a_small_image_is_not_enlarged() -> None:
    info, small = inspect_and_shrink(encode(gradient(60, 40), "JPEG"), 256, SMALL)
    assert small.size == (info.width, info.height) == (60, 40)


@given(st.data())
def test_shrinking_finds_the_damage_that_inspecting_finds(data: st.DataObject) -> None:
    """Decoding at an eighth of the size still reads all of the compressed data."""
    whole = encode(noise(), "JPEG", quality=90, progressive=data.draw(st.booleans()))
    cut = whole[: data.draw(st.integers(len(whole) // 10, len(whole) - 3))]
    with pytest.raises(ImageError) as inspected:
        inspect(cut, SMALL)
    with pytest.raises(ImageError) as shrunk:
        inspect_and_shrink(cut, 16, SMALL)
    assert shrunk.value.reason == inspected.value.reason


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_what_is_transparent_stays_so_and_does_not_shine_through(file_format: str) -> None:
    picture = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    picture.paste((0, 0, 255, 255), (16, 16, 48, 48))
    data = encode(picture, file_format, **({"lossless": True} if file_format == "WEBP" else {}))
    square = decode_square_with_opacity(data, 24, SMALL)
    assert square.shape == (24, 24, 4)
    assert square[0, 0, 3] == 0
    assert square[12, 12].tolist() == [0, 0, 255, 255]
    seen = square[square[..., 3] > 30]
    assert seen[:, 0].max() < 10
    assert seen[:, 2].min() > 245


def test_without_transparency_pixels_are_those_of_models() -> None:
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = turn
        data = encode(gradient(), "JPEG", exif=exif)
        square = decode_square_with_opacity(data, 16)
        assert np.array_equal(square[..., :3], decode_square(data, 16))
        assert (square[..., 3] == 255).all()
