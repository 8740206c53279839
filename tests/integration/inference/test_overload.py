"""More than can be answered: what is accepted is bounded, and whoever must go hears of it at once."""

import asyncio
import io
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightsmith.errors import SightsmithError
from sightsmith.stack import Stack
from tests.integration.inference.conftest import png
from tests.integration.inference.frozen import frozen
from tests.integration.inference.inference_client import InferenceClient
from tests.integration.inference.metrics import images_in_flight

# As `max_images_in_flight` is by default, in calls of the largest batch.
ROOM, BATCH = 1024, 256
MEBIBYTE = 1024 * 1024


async def test_ten_times_too_much(stack: Stack, client: InferenceClient, main: str) -> None:
    images = [png(1)] * BATCH
    refusals: list[tuple[SightsmithError, float]] = []

    async def ask() -> int:
        begin = time.monotonic()
        try:
            return len((await client.predict_batch(main, images)).results)
        except SightsmithError as error:
            refusals.append((error, time.monotonic() - begin))
            return 0

    await ask()
    before = _memory(stack)
    calls = 10 * ROOM // BATCH
    with frozen(stack.pid("triton")):
        asked = [asyncio.create_task(ask()) for _ in range(calls)]
        while len(refusals) < calls - ROOM // BATCH:
            await asyncio.sleep(0.01)
        assert await images_in_flight(stack, ROOM) == ROOM
    answered = await asyncio.gather(*asked)
    # What was accepted is answered to the last image, and the rest was told at once.
    assert sorted(answered) == [0] * len(refusals) + [BATCH] * (ROOM // BATCH)
    assert {error.reason for error, _ in refusals} == {"OVERLOADED"}
    assert all(error.retry_seconds and error.retry_seconds <= 10 for error, _ in refusals)
    assert np.median([seconds for _, seconds in refusals]) < 2
    assert _memory(stack) - before < 200 * MEBIBYTE
    assert await images_in_flight(stack, 0) == 0


async def test_cancelled_calls_leave_at_once(stack: Stack, client: InferenceClient, main: str) -> None:
    large = _large_png()
    with frozen(stack.pid("triton")):
        asked = [asyncio.create_task(client.predict_batch(main, [large] * 40)) for _ in range(5)]
        assert await images_in_flight(stack, 200) == 200
        for call in asked:
            call.cancel()
        await asyncio.wait(asked)
        # Two hundred of them take many seconds to decode, for which nobody waits any more.
        begin = time.monotonic()
        assert await images_in_flight(stack, 0) == 0
        assert time.monotonic() - begin < 2


async def test_a_deadline_is_kept(stack: Stack, client: InferenceClient, main: str, image: bytes) -> None:
    with frozen(stack.pid("triton")):
        begin = time.monotonic()
        with pytest.raises(SightsmithError) as raised:
            await client.predict(main, image, seconds=0.5)
        assert raised.value.reason in ("DEADLINE_EXCEEDED", "TIMED_OUT")
        assert time.monotonic() - begin < 2
        assert await images_in_flight(stack, 0) == 0


def _memory(stack: Stack) -> int:
    """Resident bytes of the service."""
    for line in Path(f"/proc/{stack.pid('inference')}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the process has ended")


def _large_png() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (3000, 3000), (1, 2, 3)).save(data, "PNG")
    return data.getvalue()
