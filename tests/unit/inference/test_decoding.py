"""Decoding."""

import asyncio
import io

import pytest
from PIL import Image
from prometheus_client import REGISTRY

from sightsmith.errors import InvalidArgumentError
from sightsmith.images import ImageLimits
from sightsmith_inference.decoding import Decoder


@pytest.fixture
def decoder() -> Decoder:
    return Decoder(ImageLimits(min_side=4), threads=1)


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


async def test_what_is_cancelled_while_it_waits_is_not_decoded(decoder: Decoder) -> None:
    data = io.BytesIO()
    Image.new("RGB", (500, 500)).save(data, "PNG")
    before = _decoded()
    first, *waiting = [asyncio.create_task(decoder.decode(data.getvalue(), 8, "image")) for _ in range(50)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await first
    await decoder.decode(data.getvalue(), 8, "image")
    assert all(task.cancelled() for task in waiting)
    # The thread may have begun with a few more before they were cancelled.
    assert _decoded() - before < 20


def _decoded() -> float:
    return REGISTRY.get_sample_value("sightsmith_inference_decode_seconds_count") or 0.0
