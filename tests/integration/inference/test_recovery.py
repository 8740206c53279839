"""What happens to predictions when a server under them dies."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sightsmith.api.inference.v1.deployment_pb2 import Deployment
from sightsmith.errors import SightsmithError
from sightsmith.stack import Stack
from tests.integration.inference.conftest import ALPHA
from tests.integration.inference.inference_client import InferenceClient


async def test_triton_killed(stack: Stack, client: InferenceClient, main: str, image: bytes) -> None:
    await asyncio.to_thread(stack.kill, "triton")
    with pytest.raises(SightsmithError) as raised:
        await client.predict(main, image)
    assert raised.value.reason == "DEPENDENCY_UNAVAILABLE"
    # Looked for while Triton comes back: a small model is loaded again in no time.
    back = asyncio.create_task(asyncio.to_thread(stack.wait_ready))
    await client.wait_for(main, Deployment.STATE_STARTING)
    await client.wait_running(main, ALPHA)
    await back
    assert (await client.wait_predicting(main, image)).model == ALPHA


async def test_service_killed(stack: Stack, client: InferenceClient, main: str, image: bytes) -> None:
    await asyncio.to_thread(stack.kill, "inference")
    await asyncio.to_thread(stack.wait_ready)
    assert (await client.wait_predicting(main, image)).model == ALPHA
    # The new process also takes over the looking after deployments, once the old one's lease has run out.
    await client.create("after", model=ALPHA)
    await client.wait_running("after", ALPHA)
    await client.delete("after")


async def test_database_stops_answering(stack: Stack, client: InferenceClient, main: str, image: bytes) -> None:
    with _frozen(stack.pid("postgres")):
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


@contextmanager
def _frozen(postmaster: int) -> Iterator[None]:
    """Stops PostgreSQL in its tracks: connections stay open and nothing answers."""
    pids = [postmaster, *_children(postmaster)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
