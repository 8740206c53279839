"""What happens to predictions when a server under them dies."""

import asyncio

import pytest

from sightsmith.api.inference.v1.prediction_service_pb2 import PredictResponse
from sightsmith.errors import SightsmithError
from sightsmith.stack import Stack
from tests.integration.inference.conftest import ALPHA, BROKEN
from tests.integration.inference.frozen import frozen
from tests.integration.inference.inference_client import InferenceClient


async def test_triton_killed(stack: Stack, client: InferenceClient, main: str, image: bytes) -> None:
    await asyncio.to_thread(stack.kill, "triton")
    hurried, patient = await asyncio.gather(
        client.predict(main, image, seconds=0.4), client.predict(main, image), return_exceptions=True
    )
    assert isinstance(hurried, SightsmithError)
    assert hurried.reason in ("DEPENDENCY_UNAVAILABLE", "DEADLINE_EXCEEDED")
    # Whoever has the time gets the answer of the Triton that comes back.
    assert isinstance(patient, PredictResponse), patient
    assert patient.model == ALPHA
    await asyncio.to_thread(stack.wait_ready)
    await client.wait_running(main, ALPHA)
    assert (await client.wait_predicting(main, image)).model == ALPHA


async def test_service_killed(stack: Stack, client: InferenceClient, main: str, image: bytes) -> None:
    await client.update(main, model=BROKEN)
    await asyncio.to_thread(stack.kill, "inference")
    await asyncio.to_thread(stack.wait_ready)
    assert (await client.wait_predicting(main, image)).model == ALPHA
    # The new process also takes over the looking after deployments, once the old one's lease has run out.
    await client.create("after", model=ALPHA)
    await client.wait_running("after", ALPHA)
    await client.delete("after")
    # It ends what the old one had begun, and refuses it as a whole.
    refused = await client.wait_running(main, ALPHA)
    assert (refused.model, refused.release) == (ALPHA, refused.serving_release)
    assert "load failed" in refused.error.message
    await client.update(main, model=ALPHA)
    assert not (await client.wait_running(main, ALPHA)).HasField("error")


async def test_database_stops_answering(stack: Stack, client: InferenceClient, main: str, image: bytes) -> None:
    with frozen(stack.pid("postgres")):
        with pytest.raises(SightsmithError):
            await client.get(main, seconds=1)
        for _ in range(20):
            assert (await client.predict(main, image)).model == ALPHA
            await asyncio.sleep(0.05)
    await client.wait_running(main, ALPHA)


async def test_database_killed(stack: Stack, client: InferenceClient, main: str, image: bytes) -> None:
    await asyncio.to_thread(stack.kill, "postgres")
    back = asyncio.create_task(asyncio.to_thread(stack.wait_ready))
    while not back.done():
        assert (await client.predict(main, image)).model == ALPHA
        await asyncio.sleep(0.05)
    await back
    await client.create("later", model=ALPHA)
    await client.wait_running("later", ALPHA)
    await client.delete("later")
