"""Decoding is bounded."""

import io

import pytest
from PIL import Image

from sightsmith.errors import InvalidArgumentError, ResourceExhaustedError
from sightsmith.images import ImageLimits
from sightsmith_inference.decoding import Decoder


@pytest.fixture
def decoder() -> Decoder:
    return Decoder(ImageLimits(min_side=4), threads=1, max_images=3)


def test_no_more_images_than_there_is_room_for(decoder: Decoder) -> None:
    with decoder.room_for(2):
        with pytest.raises(ResourceExhaustedError) as raised, decoder.room_for(2):
            pass
        with decoder.room_for(1):
            pass
    assert raised.value.metadata == {"limit": "3"}
    with decoder.room_for(3):
        pass


async def test_decodes(decoder: Decoder) -> None:
    data = io.BytesIO()
    Image.new("RGB", (16, 4), (10, 20, 30)).save(data, "PNG")
    pixels = await decoder.decode(data.getvalue(), 8, "image")
    assert pixels.shape == (8, 8, 3)
    assert pixels[3, 3].tolist() == [10, 20, 30]


async def test_names_the_field(decoder: Decoder) -> None:
    with pytest.raises(InvalidArgumentError) as raised:
        await decoder.decode(b"", 8, "images[3]")
    assert raised.value.reason == "IMAGE_EMPTY"
    assert [violation.field for violation in raised.value.violations] == ["images[3]"]
