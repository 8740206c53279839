"""Embeddings through the service and a real Triton."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from grpc import aio

from sightsmith.api.inference.v1 import embedding_service_pb2 as pb
from sightsmith.api.inference.v1.embedding_service_pb2_grpc import EmbeddingServiceStub
from sightsmith.errors import SightsmithError
from sightsmith.objects import image_key
from sightsmith.rpc.channel import error_of
from sightsmith.rpc.status import from_status
from sightsmith.stack import Stack
from tests.integration.inference.conftest import TOKEN, png
from tests.integration.inference.tiny_backbone import FEATURES, SIDE, embedding, mean_colour, publish

SIMILAR = 1e-5
READY = pb.Backbone.STATE_READY
_WAIT_SECONDS = 60.0


class EmbeddingClient:
    """Speaks to the service without retries. Errors are raised as `SightsmithError`."""

    def __init__(self, target: str) -> None:
        self.channel = aio.insecure_channel(target, [("grpc.max_reconnect_backoff_ms", 500)])
        self._stub = EmbeddingServiceStub(self.channel)
        self._metadata = [("authorization", f"Bearer {TOKEN}")]

    async def backbones(self) -> dict[str, pb.Backbone]:
        answer = await self._stub.ListBackbones(pb.ListBackbonesRequest(), metadata=self._metadata, timeout=10)
        return {backbone.name: backbone for backbone in answer.backbones}

    async def embed(self, backbone: str, *images: bytes | str) -> list[pb.EmbedResponse.Result]:
        image = pb.EmbedRequest.Image
        request = pb.EmbedRequest(
            backbone=backbone,
            images=[image(sha256=found) if isinstance(found, str) else image(content=found) for found in images],
        )
        try:
            return list((await self._stub.Embed(request, metadata=self._metadata, timeout=20)).results)
        except aio.AioRpcError as error:
            raise error_of(error) from error

    async def wait_for(self, backbone: str, state: pb.Backbone.State.ValueType = READY) -> pb.Backbone:
        deadline = time.monotonic() + _WAIT_SECONDS
        while (found := (await self.backbones()).get(backbone)) is None or found.state != state:
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.1)
        return found


@pytest.fixture(scope="module")
def objects(stack: Stack) -> Path:
    return Path(stack.endpoints.object_store_url.removeprefix("file://"))


@pytest.fixture(scope="module")
async def client(stack: Stack) -> AsyncIterator[EmbeddingClient]:
    client = EmbeddingClient(stack.endpoints.inference)
    yield client
    await client.channel.close()


@pytest.fixture(scope="module")
async def backbone(stack: Stack, objects: Path, client: EmbeddingClient) -> str:
    """Published without a word to the service, which finds it when it starts anew."""
    name = publish(objects, "tiny", mean_colour())
    await asyncio.to_thread(stack.kill, "inference")
    await asyncio.to_thread(stack.wait_ready)
    await client.wait_for(name)
    return name


def numbers(result: pb.EmbedResponse.Result) -> list[float]:
    assert not result.HasField("error"), result.error
    return np.frombuffer(result.vector, "<f4").tolist()


async def test_a_published_backbone_stands_ready(client: EmbeddingClient, backbone: str) -> None:
    found = (await client.backbones())[backbone]
    assert (found.network, found.image_side, found.feature_count) == ("mean-colour", SIDE, FEATURES)
    assert found.triton_model.startswith("backbone.tiny.")


async def test_more_images_than_triton_takes_at_once_in_both_ways(
    client: EmbeddingClient, backbone: str, objects: Path
) -> None:
    images = [png(seed) for seed in range(21)]
    stored = png(99)
    sha256 = hashlib.sha256(stored).hexdigest()
    (objects / image_key(sha256)).parent.mkdir(parents=True, exist_ok=True)
    (objects / image_key(sha256)).write_bytes(stored)
    results = await client.embed(backbone, *images, sha256)
    assert len(results) == 22
    for image, result in zip([*images, stored], results, strict=True):
        assert numbers(result) == pytest.approx(embedding(image), abs=SIMILAR)


async def test_a_bad_image_has_an_error_of_its_own(client: EmbeddingClient, backbone: str) -> None:
    good = png(3)
    results = await client.embed(backbone, good, b"no image", "0" * 64, "../../admin-token", b"", good)
    assert numbers(results[0]) == numbers(results[5]) == pytest.approx(embedding(good), abs=SIMILAR)
    errors = [from_status(result.error) for result in results[1:5]]
    assert [error.reason for error in errors] == ["IMAGE_UNREADABLE", "NOT_FOUND", "INVALID_FIELD", "IMAGE_EMPTY"]
    assert [[violation.field for violation in error.violations] for error in errors] == [
        ["images[1]"],
        [],
        ["images[3].sha256"],
        ["images[4]"],
    ]


@pytest.mark.parametrize(
    ("name", "count", "reason"),
    [("backbones/nothing", 1, "NOT_FOUND"), ("tiny", 1, "INVALID_FIELD"), ("backbones/tiny", 0, "INVALID_FIELD")],
)
async def test_bad_requests(client: EmbeddingClient, backbone: str, name: str, count: int, reason: str) -> None:
    with pytest.raises(SightsmithError) as raised:
        await client.embed(name, *[png(1)] * count)
    assert raised.value.reason == reason


async def test_too_many_images(client: EmbeddingClient, backbone: str) -> None:
    with pytest.raises(SightsmithError, match="at most 256 images, not 257") as raised:
        await client.embed(backbone, *[b"x"] * 257)
    assert raised.value.reason == "INVALID_FIELD"


async def test_triton_killed(stack: Stack, client: EmbeddingClient, backbone: str) -> None:
    await asyncio.to_thread(stack.kill, "triton")
    with pytest.raises(SightsmithError) as raised:
        await client.embed(backbone, png(1))
    assert raised.value.reason in ("DEPENDENCY_UNAVAILABLE", "WRONG_STATE")
    await asyncio.to_thread(stack.wait_ready)
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            assert numbers((await client.embed(backbone, png(1)))[0]) == pytest.approx(embedding(png(1)), abs=SIMILAR)
            break
        except SightsmithError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)


async def test_descriptors_that_cannot_be_right_disturb_nobody(
    stack: Stack, client: EmbeddingClient, backbone: str, objects: Path
) -> None:
    folder = objects / "backbones/published"
    descriptor = json.loads((folder / "tiny.json").read_text())
    (folder / "no-json.json").write_text("{")
    escaping = {**descriptor, "name": "backbones/escaping", "files": [{**descriptor["files"][0], "path": "../../x"}]}
    (folder / "escaping.json").write_text(json.dumps(escaping))
    elsewhere = {**descriptor, "name": "backbones/elsewhere", "triton_model": "../elsewhere"}
    (folder / "elsewhere.json").write_text(json.dumps(elsewhere))
    await asyncio.to_thread(stack.kill, "inference")
    await asyncio.to_thread(stack.wait_ready)
    await client.wait_for(backbone)
    assert not {"backbones/no-json", "backbones/escaping", "backbones/elsewhere"} & set(await client.backbones())
    assert numbers((await client.embed(backbone, png(4)))[0]) == pytest.approx(embedding(png(4)), abs=SIMILAR)
    for name in ("no-json", "escaping", "elsewhere"):
        (folder / f"{name}.json").unlink()
