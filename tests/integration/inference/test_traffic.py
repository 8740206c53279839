"""Several model versions under one name: who answers, who only looks on, and the way back."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from sightsmith.api.inference.v1.deployment_pb2 import Alias, Deployment, ServingAlias
from sightsmith.errors import SightsmithError
from tests.integration.inference.conftest import ALPHA, BETA, BROKEN, PutModel, png
from tests.integration.inference.inference_client import InferenceClient
from tests.integration.inference.tiny_models import TinyModel
from tests.integration.inference.triton_probe import TritonProbe

CONTRARY = "projects/shop/models/contrary"


@pytest.fixture
async def shared(client: InferenceClient, image: bytes) -> AsyncIterator[str]:
    """A deployment of `alpha` with half of its traffic for `beta`."""
    await client.create("shared", model=ALPHA, aliases=[Alias(alias="canary", model=BETA, share=0.5)])
    await client.wait_running("shared", ALPHA)
    await client.wait_predicting("shared", image)
    yield "shared"
    await client.delete("shared")


async def test_traffic_is_shared_and_an_alias_can_be_asked_for(
    client: InferenceClient, shared: str, image: bytes
) -> None:
    answers = await asyncio.gather(*(client.predict(shared, image) for _ in range(60)))
    counts = Counter((answer.alias, answer.model) for answer in answers)
    assert set(counts) == {("live", ALPHA), ("canary", BETA)}
    # Fewer than ten of sixty fair coins: less than once in ten million times.
    assert min(counts.values()) >= 10
    for alias, model in (("live", ALPHA), ("canary", BETA)):
        asked = await client.predict(f"{shared}@{alias}", image)
        batch = await client.predict_batch(f"{shared}@{alias}", [image])
        assert [(answer.alias, answer.model) for answer in (asked, batch)] == [(alias, model)] * 2
    with pytest.raises(SightsmithError, match="deployments/shared@other does not exist"):
        await client.predict(f"{shared}@other", image)
    with pytest.raises(SightsmithError, match="lower-case"):
        await client.predict(f"{shared}@", image)


async def test_aliases_change_places_without_a_lost_request_and_there_is_a_way_back(
    client: InferenceClient, shared: str, image: bytes
) -> None:
    answers: list[tuple[str, str]] = []
    stop = asyncio.Event()

    async def keep_asking() -> None:
        while not stop.is_set():
            answer = await client.predict(shared, image)
            answers.append((answer.alias, answer.model))

    async with asyncio.TaskGroup() as callers:
        for _ in range(4):
            callers.create_task(keep_asking())
        updating = await client.update(shared, ["model", "aliases"], model=BETA)
        promoted = await client.wait_running(shared, BETA)
        # What the service goes by in memory follows within a moment.
        async with asyncio.timeout(10):
            while set(answers[-8:]) != {("live", BETA)}:
                await asyncio.sleep(0.05)
        await client.roll_back(shared)
        back = await client.wait_running(shared, ALPHA)
        stop.set()
    assert updating.state == Deployment.STATE_UPDATING
    assert [alias.alias for alias in promoted.serving_aliases] == ["live"]
    assert (promoted.release, promoted.serving_release) == (2, 2)
    assert [(past.release, len(past.aliases)) for past in promoted.past_releases] == [(1, 2)]
    assert [(alias.alias, alias.model, alias.share) for alias in back.serving_aliases] == [
        ("live", ALPHA, 0.5),
        ("canary", BETA, 0.5),
    ]
    assert back.serving_release == 3


async def test_a_release_with_a_broken_alias_is_refused_as_a_whole(client: InferenceClient, shared: str) -> None:
    aliases = [Alias(alias="fresh", model=BROKEN, share=0.1)]
    await client.update(shared, ["model", "aliases"], model=BETA, aliases=aliases)
    kept = await client.wait_running(shared, ALPHA)
    assert kept.error.message.startswith("alias fresh: ")
    assert [alias.alias for alias in kept.serving_aliases] == ["live", "canary"]
    # What was refused does not come back with the next change, which does not name it.
    await client.update(shared, ["aliases"], aliases=[Alias(alias="canary", model=BETA, share=0.25)])
    changed = await client.wait_running(shared, ALPHA)
    assert not changed.HasField("error")
    assert [(alias.alias, alias.model, alias.share) for alias in changed.serving_aliases] == [
        ("live", ALPHA, 0.75),
        ("canary", BETA, 0.25),
    ]


async def test_bad_aliases_are_named(client: InferenceClient, shared: str) -> None:
    for alias, field in (
        (Alias(alias="Big", model=BETA), "deployment.aliases[0].alias"),
        (Alias(alias="fine", model="projects/other/models/v1"), "deployment.aliases[0].model"),
        (Alias(alias="fine", model=BETA, share=1.5), "deployment.aliases[0].share"),
    ):
        with pytest.raises(SightsmithError) as raised:
            await client.update(shared, aliases=[alias])
        assert field in [violation.field for violation in raised.value.violations]


async def test_a_shadow_answers_nobody_and_its_disagreements_are_counted(
    client: InferenceClient, main: str, put_model: PutModel, alpha: TinyModel
) -> None:
    contrary, images = TinyModel.of_seed(15), [png(seed) for seed in range(8)]
    disagreements = sum(_best(alpha, image) != _best(contrary, image) for image in images)
    assert 0 < disagreements < len(images)
    put_model(CONTRARY, {"onnx": contrary.onnx})
    await client.update(main, ["aliases"], aliases=[Alias(alias="next", model=CONTRARY, share=1.0, shadow=True)])
    await client.wait_running(main, ALPHA)
    answer = await client.predict_batch(main, [*images, b"no image"])
    with pytest.raises(SightsmithError, match="does not exist"):
        await client.predict(f"{main}@next", images[0])
    figures = (await _shadow(client, main, len(images))).shadow
    await client.update(main, ["aliases"])
    await client.wait_running(main, ALPHA)
    assert (answer.model, answer.alias) == (ALPHA, "live")
    assert (figures.compared_count, figures.disagreement_count) == (len(images), disagreements)
    assert (figures.dropped_count, figures.failed_count) == (0, 0)
    assert figures.mean_milliseconds > 0


async def test_stop_unloads_and_start_brings_back(
    client: InferenceClient, shared: str, image: bytes, triton: TritonProbe
) -> None:
    running = await client.get(shared)
    stopping = await client.stop(shared)
    with pytest.raises(SightsmithError) as raised:
        await client.predict(shared, image)
    stopped = await client.wait_for(shared, Deployment.STATE_STOPPED)
    loaded = await triton.loaded()
    await client.start(shared)
    started = await client.wait_running(shared, ALPHA)
    await client.wait_predicting(shared, image)
    assert stopping.state == Deployment.STATE_STOPPING
    assert (raised.value.reason, raised.value.metadata["state"][:4]) == ("WRONG_STATE", "STOP")
    # What other deployments use stays.
    assert running.serving_aliases[1].triton_model not in loaded
    assert (stopped.aliases, stopped.serving_model) == (running.aliases, "")
    assert started.serving_aliases == running.serving_aliases


async def test_a_watch_tells_every_state_and_ends_with_the_deployment(client: InferenceClient) -> None:
    await client.create("watched", model=ALPHA)
    seen: list[int] = []

    async def watch() -> None:
        async for response in client.watch("watched"):
            if response.HasField("deployment"):
                assert response.revision == response.deployment.revision
                seen.append(response.deployment.state)
                if seen[-1] == Deployment.STATE_RUNNING:
                    await client.delete("watched")

    with pytest.raises(SightsmithError, match="does not exist"):
        await watch()
    assert seen[0] == Deployment.STATE_STARTING
    assert seen[-1] == Deployment.STATE_RUNNING


async def _shadow(client: InferenceClient, deployment: str, images: int) -> ServingAlias:
    """Waits until a shadow has seen so many images."""
    deadline = time.monotonic() + 30
    while True:
        (alias,) = [found for found in (await client.get(deployment)).serving_aliases if found.HasField("shadow")]
        if alias.shadow.compared_count >= images:
            return alias
        assert time.monotonic() < deadline, alias
        await asyncio.sleep(0.1)


def _best(model: TinyModel, image: bytes) -> str:
    scores = model.scores(image)
    return max(scores, key=scores.__getitem__)
