import asyncio
import hashlib
import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from obstore.store import LocalStore
from PIL import Image, ImageFilter

from sightsmith.images import ImageError, ImageInfo, ImageLimits
from sightsmith.objects import Objects, image_key, thumbnail_key
from sightsmith_labeling.intake import Intake, IntakeLimits
from sightsmith_labeling.kept_image import KeptImage
from sightsmith_labeling.signals import measure


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(LocalStore(tmp_path))


@pytest.fixture
def intake(objects: Objects) -> Iterator[Intake]:
    intake = Intake(objects, IntakeLimits(ImageLimits(), thumbnail_side=64, processes=2))
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


class _CrashingStore(Objects):
    """Ends the process that writes an image of which the key is told, as a fault in a decoder would."""

    def __init__(self, store: LocalStore, key: str) -> None:
        super().__init__(store)
        self._key = key

    def put_once_from_thread(self, key: str, data: bytes) -> None:
        if key == self._key:
            os.abort()
        super().put_once_from_thread(key, data)


async def test_an_image_that_crashes_its_process_is_refused_and_harms_no_other(tmp_path: Path) -> None:
    pictures = [encoded(photo(100 + number), "JPEG") for number in range(8)]
    crashing = _CrashingStore(LocalStore(tmp_path), image_key(hashlib.sha256(pictures[3]).hexdigest()))
    intake = Intake(crashing, IntakeLimits(ImageLimits(), thumbnail_side=64, processes=2))
    try:
        outcomes = await asyncio.gather(
            *(intake.keep(f"{number}.jpg", data) for number, data in enumerate(pictures)), return_exceptions=True
        )
        again = await intake.keep("0.jpg", pictures[0])
    finally:
        intake.close()
    refused = outcomes.pop(3)
    assert isinstance(refused, ImageError)
    assert refused.reason == "IMAGE_UNREADABLE"
    assert [type(outcome) for outcome in outcomes] == [KeptImage] * 7
    assert again == outcomes[0]


_KEEPING_FOREVER = """
import asyncio, multiprocessing, pathlib, sys
from obstore.store import LocalStore
from sightsmith.images import ImageLimits
from sightsmith.objects import Objects
from sightsmith_labeling.intake import Intake, IntakeLimits

async def main():
    folder = pathlib.Path(sys.argv[1])
    intake = Intake(Objects(LocalStore(folder)), IntakeLimits(ImageLimits(), thumbnail_side=64, processes=1))
    await intake.keep("a.jpg", (folder / "a.jpg").read_bytes())
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    await asyncio.sleep(600)

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_the_processes_end_with_the_one_that_began_them_even_if_it_is_killed(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(photo(), "JPEG"))
    script = tmp_path / "keeping.py"
    script.write_text(_KEEPING_FOREVER)
    with subprocess.Popen([sys.executable, script, tmp_path], stdout=subprocess.PIPE, text=True) as keeping:
        assert keeping.stdout is not None
        pids = [int(word) for word in keeping.stdout.readline().split()]
        assert len(pids) == 1
        keeping.kill()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pids[0]}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pids[0]}").exists()


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
