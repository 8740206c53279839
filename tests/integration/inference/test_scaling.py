"""More replicas under load and fewer after it, none where nobody asks; not a request is lost by it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest

from sightsmith.api.inference.v1.deployment_pb2 import Deployment, Replicas
from sightsmith.errors import SightsmithError
from tests.integration.inference.conftest import BETA, PutModel
from tests.integration.inference.inference_client import InferenceClient
from tests.integration.inference.slow_model import slow_classifier
from tests.integration.inference.tiny_models import TinyModel
from tests.integration.inference.triton_probe import TritonProbe

SLOW, MEASURED = "projects/shop/models/slow", "projects/shop/models/measured"


@pytest.fixture
async def slow(client: InferenceClient, put_model: PutModel) -> AsyncIterator[str]:
    """A deployment that takes its time and may have up to three replicas."""
    put_model(SLOW, {"onnx": slow_classifier(1280)})
    await client.create("slow", model=SLOW, replicas=Replicas(max=3))
    await client.wait_running("slow", SLOW)
    yield "slow"
    await client.delete("slow")


async def test_replicas_follow_the_load(client: InferenceClient, slow: str, image: bytes, triton: TritonProbe) -> None:
    before = await client.get(slow)
    assert (before.replicas.min, before.replicas.max, before.scale.desired) == (1, 3, 1)
    stop = asyncio.Event()

    async def keep_asking() -> None:
        while not stop.is_set():
            await client.predict(slow, image)

    # Not one request may fail while instances come: the group would raise.
    async with asyncio.TaskGroup() as callers:
        for _ in range(24):
            callers.create_task(keep_asking())
        grown = await _wait(client, slow, lambda found: found.scale.desired >= 2 and found.scale.ready >= 2)
        stop.set()
    assert "requests queue for" in grown.scale.reason
    assert grown.scale.HasField("last_use_time")
    # Two instances each, on a CPU.
    assert await triton.instances(grown.triton_model) >= 4
    shrunk = await _wait(client, slow, lambda found: found.scale.desired == found.scale.ready == 1)
    assert "would be busy for" in shrunk.scale.reason
    assert await triton.instances(shrunk.triton_model) == 2


async def test_what_nobody_asks_is_unloaded_and_waited_for(
    client: InferenceClient, image: bytes, triton: TritonProbe
) -> None:
    await client.create("rare", model=BETA, replicas=Replicas(idle_seconds=1))
    running = await client.wait_running("rare", BETA)
    await client.wait_for("rare", Deployment.STATE_IDLE)
    await triton.wait_unloaded(running.triton_model)
    # All of them wait for the one start.
    answers = await asyncio.gather(*(client.predict("rare", image) for _ in range(4)))
    assert {answer.model for answer in answers} == {BETA}
    back = await client.get("rare")
    assert (back.release, back.scale.desired) == (running.release, 1)

    idle = await client.wait_for("rare", Deployment.STATE_IDLE)
    assert idle.serving_model == ""
    await triton.wait_unloaded(running.triton_model)
    begin = time.monotonic()
    with pytest.raises(SightsmithError) as raised:
        await client.predict("rare", image, seconds=0.25)
    assert time.monotonic() - begin < 10
    # Who has no time is told, a little before it is over, what to wait for.
    assert (raised.value.reason, raised.value.retry_seconds) in (("WARMING_UP", 2.0), ("DEADLINE_EXCEEDED", None))
    # What is idle can be updated, and answers then.
    await client.wait_running("rare", BETA)
    await client.delete("rare")


async def test_set_ups_are_measured_before_there_is_traffic(
    client: InferenceClient, put_model: PutModel, beta: TinyModel, image: bytes, triton: TritonProbe
) -> None:
    put_model(MEASURED, {"onnx": beta.onnx})
    await client.create("fast", model=MEASURED, tuning=Deployment.TUNING_MEASURED)
    running = await client.wait_running("fast", MEASURED)
    (profile,) = running.profiles
    (chosen,) = [trial for trial in profile.trials if trial.chosen]
    assert chosen.images_per_second == max(trial.images_per_second for trial in profile.trials) > 0
    assert chosen.p95_milliseconds > 0
    # First the cores are divided otherwise, then images are put together otherwise.
    assert (profile.trials[0].instances, profile.trials[0].threads, profile.trials[0].batch_size) == (2, 0, 0)
    assert len({(trial.instances, trial.threads, trial.batch_size) for trial in profile.trials}) > 1
    assert await triton.instances(running.triton_model) == chosen.instances
    assert (await client.wait_predicting("fast", image)).model == MEASURED
    await client.delete("fast")


async def test_replicas_that_cannot_be_are_refused(client: InferenceClient, main: str) -> None:
    wrong = {"min": Replicas(min=-1), "max": Replicas(min=3, max=2), "idle_seconds": Replicas(idle_seconds=-5)}
    for field, replicas in wrong.items():
        with pytest.raises(SightsmithError) as raised:
            await client.update(main, ["replicas"], replicas=replicas)
        assert f"deployment.replicas.{field}" in [violation.field for violation in raised.value.violations]


async def _wait(client: InferenceClient, name: str, is_so: Callable[[Deployment], bool]) -> Deployment:
    deadline = time.monotonic() + 120
    while not is_so(found := await client.get(name)):
        assert time.monotonic() < deadline, f"still {found}"
        await asyncio.sleep(0.1)
    return found
