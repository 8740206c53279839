"""Deployments come, change and go while a real Triton serves them."""

import asyncio

import pytest
from nats.js import JetStreamContext

from sightsmith.api.events.v1.event_pb2 import Event
from sightsmith.api.inference.v1.deployment_pb2 import Alias, Deployment
from sightsmith.errors import SightsmithError
from tests.integration.inference.conftest import ALPHA, BETA, BROKEN
from tests.integration.inference.inference_client import InferenceClient, name_of, scores_of
from tests.integration.inference.tiny_models import TinyModel
from tests.integration.inference.triton_probe import TritonProbe

NOTHING = "projects/shop/models/nothing"


async def test_create_again(client: InferenceClient, main: str) -> None:
    with pytest.raises(SightsmithError) as raised:
        await client.create(main, model=ALPHA)
    assert raised.value.reason == "ALREADY_EXISTS"


@pytest.mark.parametrize(
    ("deployment", "model", "field"), [("Upper", ALPHA, "deployment_id"), ("fine", "alpha", "deployment.model")]
)
async def test_create_with_bad_names(client: InferenceClient, deployment: str, model: str, field: str) -> None:
    with pytest.raises(SightsmithError) as raised:
        await client.create(deployment, model=model)
    assert [violation.field for violation in raised.value.violations] == [field]


async def test_unknown_models_are_refused_at_the_call(client: InferenceClient, main: str) -> None:
    before = await client.get(main)
    for call in (
        client.create("of-nothing", model=NOTHING),
        client.update(main, model=NOTHING),
        client.update(main, aliases=[Alias(alias="canary", model=NOTHING)]),
    ):
        with pytest.raises(SightsmithError, match=f"{NOTHING} does not exist") as raised:
            await call
        assert raised.value.reason == "NOT_FOUND"
    assert await client.get(main) == before
    with pytest.raises(SightsmithError, match="deployments/of-nothing does not exist"):
        await client.get("of-nothing")


async def test_list_in_pages(client: InferenceClient, main: str) -> None:
    for name in ("page-b", "page-a"):
        await client.create(name, model=BROKEN)
    first = await client.list(page_size=2)
    second = await client.list(page_size=2, page_token=first.next_page_token)
    names = [deployment.name for deployment in (*first.deployments, *second.deployments)]
    for name in ("page-b", "page-a"):
        await client.delete(name)
    assert names == [name_of(name) for name in (main, "page-a", "page-b")]
    assert second.next_page_token == ""


async def test_update_of_unknown_field(client: InferenceClient, main: str) -> None:
    with pytest.raises(SightsmithError) as raised:
        await client.update(main, ["state"], model=ALPHA)
    assert [violation.field for violation in raised.value.violations] == ["update_mask"]


async def test_swap_under_load_and_updating_to_a_broken_model(
    client: InferenceClient,
    main: str,
    beta: TinyModel,
    image: bytes,
    jetstream: JetStreamContext,
    triton: TritonProbe,
) -> None:
    before = await client.get(main)
    answered: list[str] = []
    stop = asyncio.Event()

    async def keep_asking() -> None:
        while not stop.is_set():
            answered.append((await client.predict(main, image)).model)

    async with asyncio.TaskGroup() as callers:
        for _ in range(8):
            callers.create_task(keep_asking())
        updating = await client.update(main, ["model"], model=BETA)
        await client.wait_running(main, BETA)
        await triton.wait_unloaded(before.triton_model)
        stop.set()
    assert (updating.state, updating.serving_model) == (Deployment.STATE_UPDATING, ALPHA)
    # Not one request was lost (the group would have raised), and each was answered by one model or the other.
    assert set(answered) == {ALPHA, BETA}
    assert answered[-1] == BETA
    response = await client.predict(main, image, min_confidence=0.0)
    assert scores_of(response.predictions) == pytest.approx(beta.scores(image), abs=1e-5)
    event = Event.FromString(
        (await jetstream.get_last_msg("SIGHTSMITH_EVENTS", "sightsmith.events.deployment.serving")).data or b""
    )
    assert event.deployment_serving.deployment == name_of(main)
    assert event.deployment_serving.model == BETA

    await client.update(main, model=BROKEN)
    after = await client.wait_running(main, BETA)
    assert (after.model, after.release) == (BETA, after.serving_release)
    assert "load failed" in after.error.message
    assert (await client.predict(main, image)).model == BETA

    await client.update(main, model=ALPHA)
    back = await client.wait_running(main, ALPHA)
    assert not back.HasField("error")


async def test_broken_model_fails_and_the_server_lives(client: InferenceClient, main: str, image: bytes) -> None:
    await client.create("broken", model=BROKEN)
    failed = await client.wait_for("broken", Deployment.STATE_FAILED)
    # The table that predictions go by follows the database within a moment.
    async with asyncio.timeout(10):
        while (refused := await _refused(client, "broken", image)).metadata["state"] == "STARTING":
            await asyncio.sleep(0.05)
    await client.delete("broken")
    assert (refused.reason, refused.metadata) == ("WRONG_STATE", {"state": "FAILED", "deployment": name_of("broken")})
    assert "load failed for model 'shop.broken.onnx" in failed.error.message
    assert (await client.predict(main, image)).predictions


async def test_delete_unloads(client: InferenceClient, image: bytes, triton: TritonProbe) -> None:
    await client.create("short", model=BETA)
    deployment = await client.wait_running("short")
    assert deployment.triton_model in await triton.loaded()
    await client.delete("short")
    with pytest.raises(SightsmithError, match="does not exist"):
        await client.predict("short", image)
    await triton.wait_unloaded(deployment.triton_model)


async def _refused(client: InferenceClient, deployment: str, image: bytes) -> SightsmithError:
    with pytest.raises(SightsmithError) as raised:
        await client.predict(deployment, image)
    return raised.value
