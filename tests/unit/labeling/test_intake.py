import asyncio
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from obstore.store import LocalStore
from PIL import Image, ImageFilter

from sightsmith.images import ImageError, ImageInfo, ImageLimits
from sightsmith.objects import Objects, image_key, thumbnail_key
from sightsmith_labeling.intake import Intake, IntakeLimits
from sightsmith_labeling.signals import measure


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(LocalStore(tmp_path))


@pytest.fixture
def intake(objects: Objects) -> Iterator[Intake]:
    intake = Intake(objects, IntakeLimits(ImageLimits(), thumbnail_side=64, at_once=2))
    yield intake
    intake.close()


def photo(width: int = 200, height: int = 120) -> Image.Image:
    chance = np.random.default_rng(0)
    patches = Image.fromarray(chance.integers(0, 256, (12, 20, 3), dtype=np.uint8))
    return patches.resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, file_format: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, file_format)
    return file.getvalue()


def bits_between(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


async def test_an_image_and_its_thumbnail_are_stored(intake: Intake, objects: Objects) -> None:
    data = encoded(photo(), "JPEG")
    kept = await intake.keep("a.jpg", data)
    assert (kept.source, kept.info, kept.size_bytes) == ("a.jpg", ImageInfo(200, 120, "image/jpeg"), len(data))
    assert await objects.get(image_key(kept.sha256)) == data
    thumbnail = await objects.get(thumbnail_key(kept.sha256))
    assert await intake.thumbnail(kept.sha256) == thumbnail
    with Image.open(io.BytesIO(thumbnail)) as image:
        assert (image.format, image.size) == ("JPEG", (64, 38))
    assert await intake.keep("again.jpg", data) == type(kept)(**{**vars(kept), "source": "again.jpg"})


async def test_nothing_is_stored_of_what_is_refused(intake: Intake, tmp_path: Path) -> None:
    with pytest.raises(ImageError):
        await intake.keep("a.jpg", encoded(photo(), "JPEG")[:-500])
    assert [*await asyncio.to_thread(tmp_path.iterdir)] == []


async def test_there_is_no_thumbnail_of_what_is_not_there(intake: Intake) -> None:
    with pytest.raises(FileNotFoundError):
        await intake.thumbnail("0" * 64)


def test_pictures_that_look_alike_have_hashes_alike() -> None:
    picture = photo()
    original = measure(picture).dhash
    file = io.BytesIO()
    picture.resize((150, 90)).save(file, "JPEG", quality=40)
    with Image.open(file) as smaller:
        assert bits_between(original, measure(smaller).dhash) <= 4
    assert bits_between(original, measure(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)).dhash) > 16
    assert len(original) == 16


def test_a_sharp_picture_is_sharper_than_a_blurred_one() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (100, 100), dtype=np.uint8))
    assert measure(noise).sharpness > 10 * measure(noise.filter(ImageFilter.GaussianBlur(2))).sharpness


@pytest.mark.parametrize("size", [(1, 1), (2, 50), (50, 2), (3, 3), (64, 48)])
def test_signals_are_what_their_definitions_say(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    signals = measure(Image.fromarray(pixels))
    assert signals.brightness == pytest.approx(pixels.mean(), abs=1e-3)
    assert signals.contrast == pytest.approx(pixels.std(), abs=1e-3)
    inner = pixels.astype(float)
    if min(size) > 2:
        laplacian = inner[:-2, 1:-1] + inner[2:, 1:-1] + inner[1:-1, :-2] + inner[1:-1, 2:] - 4 * inner[1:-1, 1:-1]
        assert signals.sharpness == pytest.approx(laplacian.var(), rel=1e-5, abs=1e-3)
    else:
        assert signals.sharpness == 0


@pytest.mark.parametrize("grey", [0, 255])
def test_a_blank_picture(grey: int) -> None:
    signals = measure(Image.new("L", (64, 48), grey))
    assert (signals.dhash, signals.brightness, signals.contrast, signals.sharpness) == ("0" * 16, grey, 0, 0)
