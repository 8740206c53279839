"""Small pictures for reports."""

import io
from pathlib import Path

import pytest
from PIL import Image

from sightsmith.images import ImageLimits
from sightsmith.objects import Objects, image_key, open_object_store, thumbnail_key
from sightsmith_training.engine.specification import SpecEntry
from sightsmith_training.thumbnails import fetch_thumbnails
from tests.integration.training.finished_training import jpeg


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(open_object_store(tmp_path.as_uri()))


def entry(number: int) -> SpecEntry:
    sha256 = f"{number:064x}"
    return SpecEntry(image=f"projects/p/datasets/d/images/{number}", sha256=sha256, key=image_key(sha256), split="test")


async def thumbnail_of(objects: Objects, one: SpecEntry) -> bytes:
    return (await fetch_thumbnails(objects, [one], ImageLimits()))[one.image]


def size(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.format == "JPEG"
        return picture.size


async def test_one_that_is_there_is_taken_as_it_is(objects: Objects) -> None:
    stored = jpeg(64, 48, "red")
    await objects.put(thumbnail_key(entry(1).sha256), stored)
    assert await thumbnail_of(objects, entry(1)) == stored


async def test_where_there_is_none_one_is_made_of_the_image(objects: Objects) -> None:
    await objects.put(entry(1).key, jpeg(1000, 500, "red"))
    assert size(await thumbnail_of(objects, entry(1))) == (320, 160)


async def test_a_large_one_is_shrunk(objects: Objects) -> None:
    file = io.BytesIO()
    Image.effect_noise((1000, 1000), 90).save(file, "JPEG", quality=95)
    await objects.put(thumbnail_key(entry(1).sha256), file.getvalue())
    small = await thumbnail_of(objects, entry(1))
    assert size(small) == (320, 320)
    assert len(small) < len(file.getvalue())


@pytest.mark.parametrize("data", [None, b"no image"])
async def test_an_image_that_is_gone_or_broken_is_grey(objects: Objects, data: bytes | None) -> None:
    if data is not None:
        await objects.put(entry(1).key, data)
    assert size(await thumbnail_of(objects, entry(1))) == (320, 320)


async def test_each_image_gets_its_own(objects: Objects) -> None:
    stored = {entry(number).image: jpeg(8 + number, 8, "red") for number in range(40)}
    for number, data in enumerate(stored.values()):
        await objects.put(thumbnail_key(entry(number).sha256), data)
    assert await fetch_thumbnails(objects, map(entry, range(40)), ImageLimits()) == stored
