"""Streams of predictions through the service and a real Triton."""

import asyncio
import io
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
from PIL import Image

from sightsmith.api.inference.v1.prediction_service_pb2 import StreamPredictRequest, StreamPredictResponse
from sightsmith.client import Client
from sightsmith.client.patience import Patience
from sightsmith.errors import SightsmithError
from sightsmith.rpc.channel import error_of
from sightsmith.rpc.status import from_status
from sightsmith.stack import Stack
from tests.integration.inference.conftest import ALPHA, BETA, TOKEN, png
from tests.integration.inference.inference_client import InferenceClient, name_of, scores_of
from tests.integration.inference.metrics import images_in_flight, sample
from tests.integration.inference.tiny_models import TinyModel

SIMILAR = 1e-5
OPTIONS = StreamPredictRequest.Options(deployment=name_of("main"))


async def test_every_image_is_answered_in_its_turn(client: InferenceClient, main: str, alpha: TinyModel) -> None:
    images = [png(seed) for seed in range(60)]
    images[7], images[40] = b"not an image", b""
    answers = [answer async for answer in client.stream(main, images, min_confidence=0.0)]
    assert [answer.index for answer in answers] == list(range(60))
    assert [answer.id for answer in answers] == [str(index) for index in range(60)]
    assert {answer.model for answer in answers} == {ALPHA}
    for index, (image, answer) in enumerate(zip(images, answers, strict=True)):
        if index in (7, 40):
            error = from_status(answer.error)
            assert error.reason == ("IMAGE_EMPTY" if index == 40 else "IMAGE_UNREADABLE")
            assert not answer.predictions
        else:
            assert not answer.HasField("error")
            assert scores_of(answer.predictions) == pytest.approx(alpha.scores(image), abs=SIMILAR)


async def test_images_are_asked_about_together(stack: Stack, client: InferenceClient, main: str) -> None:
    size = (await client.serving_model(main)).max_batch_size
    before = sample(stack, "sightsmith_inference_triton_seconds_count")
    image = png(1)
    answers = [answer async for answer in client.stream(main, [image] * 40 * size)]
    assert len(answers) == 40 * size
    # On an idle machine nearly all of the requests to Triton are full; on a busy one the client cannot keep up.
    assert sample(stack, "sightsmith_inference_triton_seconds_count") - before < 20 * size


async def test_each_image_may_wait_for_the_answer_before(client: InferenceClient, main: str) -> None:
    answered = asyncio.Event()

    async def one_after_the_other() -> AsyncIterator[bytes]:
        for seed in range(5):
            yield png(seed)
            await asyncio.wait_for(answered.wait(), 10)
            answered.clear()

    count = 0
    async for answer in client.stream(main, one_after_the_other()):
        assert answer.index == count
        count += 1
        answered.set()
    assert count == 5


async def test_the_model_may_change_within_a_stream(client: InferenceClient) -> None:
    await client.create("changing", model=ALPHA)
    await client.wait_running("changing", ALPHA)
    await client.wait_predicting("changing", png(1))
    is_changed = asyncio.Event()

    async def images() -> AsyncIterator[bytes]:
        while not is_changed.is_set():
            yield png(1)
            await asyncio.sleep(0.01)
        for _ in range(10):
            yield png(1)

    async def change() -> None:
        await client.update("changing", model=BETA)
        await client.wait_running("changing", BETA)
        while (await client.predict("changing", png(1))).model != BETA:
            await asyncio.sleep(0.05)
        is_changed.set()

    changing = asyncio.create_task(change())
    models = [answer.model async for answer in client.stream("changing", images())]
    await changing
    await client.delete("changing")
    assert models[0] == ALPHA
    assert models[-10:] == [BETA] * 10
    assert models == sorted(models)


async def test_triton_killed(stack: Stack, client: InferenceClient, main: str) -> None:
    async def images() -> AsyncIterator[bytes]:
        for index in range(40):
            if index == 20:
                await asyncio.to_thread(stack.kill, "triton")
            yield png(index)

    answers = [answer async for answer in client.stream(main, images())]
    assert [answer.index for answer in answers] == list(range(40))
    assert not any(answer.HasField("error") for answer in answers)
    await asyncio.to_thread(stack.wait_ready)
    await client.wait_running(main, ALPHA)


async def test_the_client_outlasts_a_killed_service(
    stack: Stack, api: Client, client: InferenceClient, main: str
) -> None:
    answered = threading.Event()

    def images() -> Iterator[tuple[str, bytes]]:
        for index in range(40):
            if index == 20:
                # A stream that has no answer yet would be sent again by gRPC itself.
                assert answered.wait(30)
                stack.kill("inference")
            yield str(index), png(index)

    waits: list[SightsmithError] = []
    stream = api.predict_stream("shop", main, images(), patience=Patience(60, waits.append))

    def all_answers() -> Iterator[StreamPredictResponse]:
        for answer in stream:
            answered.set()
            yield answer

    answers = await asyncio.to_thread(lambda: list(all_answers()))
    assert [(answer.id, answer.index) for answer in answers] == [(str(index), index) for index in range(40)]
    assert not any(answer.HasField("error") for answer in answers)
    assert waits
    await asyncio.to_thread(stack.wait_ready)
    await client.wait_running(main, ALPHA)


async def test_who_takes_no_answers_is_not_read_from(stack: Stack, main: str) -> None:
    # Without gRPC's own means to keep more and more on the way.
    small_buffers = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_536))
    client = InferenceClient(stack.endpoints.inference, TOKEN, *small_buffers)
    sent = 0
    # Of 200 kB, so that few are on the way; answers are of a kilobyte, by the longest ids.
    data = io.BytesIO()
    Image.new("RGB", (256, 256)).save(data, "BMP")

    async def endless() -> AsyncIterator[StreamPredictRequest]:
        nonlocal sent
        yield StreamPredictRequest(options=StreamPredictRequest.Options(deployment=name_of(main), min_confidence=0.0))
        while True:
            yield StreamPredictRequest(id="x" * 1024, image=data.getvalue())
            sent += 1

    call = client.stream_messages(endless())
    first = await call.read()
    before = -1
    while sent > before:
        before = sent
        await asyncio.sleep(0.7)
    assert first.index == 0
    in_flight = await images_in_flight(stack, 0)
    call.cancel()
    await client.close()
    # What the window holds, and what is on the way.
    assert 256 <= sent < 600
    # Answers that nobody takes keep nobody else out.
    assert in_flight == 0


async def test_a_cut_stream_leaves_nothing_behind(stack: Stack, client: InferenceClient, main: str) -> None:
    for _ in range(3):
        async for answer in client.stream(main, [png(seed) for seed in range(50)]):
            if answer.index == 2:
                break
    assert await images_in_flight(stack, 0) == 0


@pytest.mark.parametrize(
    ("messages", "fields"),
    [
        ([], ["options"]),
        ([{"image": b"x"}], ["options"]),
        ([{"options": StreamPredictRequest.Options()}], ["options.deployment"]),
        ([{"options": StreamPredictRequest.Options(deployment="main")}], ["options.deployment"]),
        (
            [{"options": StreamPredictRequest.Options(deployment=name_of("main"), max_results=-1)}],
            ["options.max_results"],
        ),
        ([{"options": OPTIONS}, {"options": OPTIONS, "image": b"x"}], ["options"]),
        ([{"options": OPTIONS}, {"id": "x" * 1025, "image": b"x"}], ["id"]),
    ],
)
async def test_messages_that_make_no_stream(
    client: InferenceClient, main: str, messages: list[dict[str, Any]], fields: list[str]
) -> None:
    async def sent() -> AsyncIterator[StreamPredictRequest]:
        for message in messages:
            yield StreamPredictRequest(**message)

    with pytest.raises(SightsmithError) as raised:
        await _read_all(client, sent())
    assert raised.value.reason == "INVALID_FIELD"
    assert [violation.field for violation in raised.value.violations] == fields


async def test_what_is_wrong_later_ends_the_stream_after_the_answers_before(client: InferenceClient, main: str) -> None:
    async def sent() -> AsyncIterator[StreamPredictRequest]:
        yield StreamPredictRequest(options=OPTIONS, id="with the options", image=png(1))
        yield StreamPredictRequest(id="without an image")
        yield StreamPredictRequest(id="third", image=png(1))
        yield StreamPredictRequest(options=OPTIONS)

    answers = []
    with pytest.raises(SightsmithError, match="first message of the stream only"):
        await _read_all(client, sent(), answers)
    assert [answer.id for answer in answers] == ["with the options", "without an image", "third"]
    assert from_status(answers[1].error).message == "image: is required"


async def test_labels_that_the_model_does_not_have(client: InferenceClient, main: str) -> None:
    with pytest.raises(SightsmithError, match="not 'purple'") as raised:
        _ = [answer async for answer in client.stream(main, [png(1)], labels=["green", "purple"])]
    assert [violation.field for violation in raised.value.violations] == ["labels[1]"]


async def test_unknown_deployment(client: InferenceClient, main: str) -> None:
    with pytest.raises(SightsmithError) as raised:
        _ = [answer async for answer in client.stream("nothing", [png(1)])]
    assert raised.value.reason == "NOT_FOUND"


async def _read_all(
    client: InferenceClient, messages: AsyncIterator[StreamPredictRequest], into: list[Any] | None = None
) -> None:
    try:
        async for answer in client.stream_messages(messages):
            if into is not None:
                into.append(answer)
    except grpc.RpcError as error:
        raise error_of(error) from error
