"""Predictions that are kept for review: none unless asked for; then as an object and an event."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext
from sqlalchemy import func, select

from sightsmith.api.events.v1.event_pb2 import Event, PredictionSampled
from sightsmith.api.inference.v1.deployment_pb2 import Alias, Deployment, SamplingPolicy
from sightsmith.api.training.v1.model_pb2 import Model
from sightsmith.database import Database, utc_now
from sightsmith.errors import SightsmithError
from sightsmith.stack import Stack
from sightsmith_inference.tables import Base
from tests.integration.inference.conftest import ALPHA, PutModel, png
from tests.integration.inference.inference_client import InferenceClient, name_of
from tests.integration.inference.tiny_detector import LABELS, detector_onnx
from tests.integration.inference.tiny_models import TinyModel

SUBJECT = "sightsmith.events.prediction.sampled"


class Sampled:
    """What is told of sampled predictions from now on."""

    def __init__(self, subscription: JetStreamContext.PushSubscription) -> None:
        self._subscription = subscription

    async def next(self, seconds: float = 10) -> PredictionSampled:
        message = await self._subscription.next_msg(timeout=seconds)
        return Event.FromString(message.data).prediction_sampled

    async def assert_quiet(self, seconds: float) -> None:
        with pytest.raises(NatsTimeoutError):
            await self.next(seconds)


@pytest.fixture
async def sampled(jetstream: JetStreamContext) -> AsyncIterator[Sampled]:
    subscription = await jetstream.subscribe(SUBJECT, deliver_policy="new", ordered_consumer=True)
    yield Sampled(subscription)
    await subscription.unsubscribe()


@pytest.fixture
async def deployment(client: InferenceClient) -> AsyncIterator[str]:
    name = "sampled"
    await client.create(name, model=ALPHA)
    await client.wait_running(name, ALPHA)
    await client.wait_predicting(name, png(7))
    yield name
    await client.delete(name)


def store(stack: Stack) -> Path:
    return Path(stack.endpoints.object_store_url.removeprefix("file://"))


def files_of(stack: Stack) -> set[Path]:
    return {path for path in store(stack).rglob("*") if path.is_file()}


async def rows_of(stack: Stack) -> dict[str, int]:
    """How many rows each table of the service has."""
    counts = {}
    database = Database(stack.endpoints.database_url)
    async with database.transaction() as session:
        for table in Base.metadata.sorted_tables:
            counts[table.name] = await session.scalar(select(func.count()).select_from(table)) or 0
    await database.close()
    return counts


async def test_nothing_is_kept_unless_asked_for(
    client: InferenceClient, stack: Stack, deployment: str, sampled: Sampled
) -> None:
    files, rows = files_of(stack), await rows_of(stack)
    for seed in range(1001, 1004):
        await client.predict(deployment, png(seed))
    await sampled.assert_quiet(2.0)
    assert files_of(stack) == files
    # What was told before has gone out meanwhile.
    assert await rows_of(stack) == {**rows, "outbox": 0}
    assert not (await client.get(deployment)).HasField("sampling")


async def test_everything_is_kept_of_a_share_of_one(
    client: InferenceClient, stack: Stack, deployment: str, sampled: Sampled, alpha: TinyModel
) -> None:
    before = await client.get(deployment)
    after = await client.update(deployment, ["sampling"], sampling=SamplingPolicy(share=1))
    assert after.sampling.share == 1
    # Sampling otherwise disturbs nothing.
    assert (after.state, after.update_time) == (Deployment.STATE_RUNNING, before.update_time)
    image = png(1002)
    response = await client.predict(deployment, image)
    told = await sampled.next()
    assert (store(stack) / told.image_key).read_bytes() == image
    assert told.image_key == f"samples/shop/{told.prediction_id}"
    assert told.inclusion_probability == 1
    kept_for = told.expire_time.ToDatetime(UTC) - utc_now()
    assert timedelta(days=29.9) < kept_for < timedelta(days=30.1)
    assert told.image_sha256 == hashlib.sha256(image).hexdigest()
    assert (told.deployment, told.model) == (name_of(deployment), ALPHA)
    assert told.reason == PredictionSampled.REASON_RANDOM
    assert told.prediction_id
    # Every label, though the caller had asked for the best one alone.
    assert {label.label: label.confidence for label in told.labels} == pytest.approx(alpha.scores(image), abs=1e-5)
    assert told.labels[0].label == response.predictions[0].label
    assert [label.answered for label in told.labels] == [True, *[False] * (len(told.labels) - 1)]


async def test_of_a_detector_the_labels_are_kept_once(
    client: InferenceClient, put_model: PutModel, sampled: Sampled
) -> None:
    model = "projects/shop/models/sampled-boxes"
    put_model(model, {"onnx": detector_onnx()}, task=Model.TASK_DETECTION, labels=LABELS)
    image = png(1003)
    await client.create("sampled-boxes", model=model, sampling=SamplingPolicy(share=1))
    await client.wait_predicting("sampled-boxes", image)
    response = await client.predict("sampled-boxes", image, min_confidence=0.0)
    told = await sampled.next()
    await client.delete("sampled-boxes")
    assert [prediction.label for prediction in response.predictions].count("east") == 2
    best = dict(reversed([(prediction.label, prediction.confidence) for prediction in response.predictions]))
    assert {label.label: label.confidence for label in told.labels} == best
    assert len(told.labels) == len(best) == 2


async def test_what_the_model_is_not_sure_of_is_kept(
    client: InferenceClient, stack: Stack, deployment: str, sampled: Sampled, alpha: TinyModel
) -> None:
    images = [png(seed) for seed in range(1010, 1030)]
    best = [max(alpha.scores(image).values()) for image in images]
    # Between two scores: Triton may round one otherwise, with the size of the batch.
    below = sum(sorted(best)[6:8]) / 2
    await client.update(deployment, ["sampling"], sampling=SamplingPolicy(below_confidence=below))
    await client.predict_batch(deployment, [b"no image", *images])
    told = [await sampled.next() for score in best if score < below]
    unsure = {hashlib.sha256(image).hexdigest() for image, score in zip(images, best, strict=True) if score < below}
    assert {one.image_sha256 for one in told} == unsure
    assert {one.reason for one in told} == {PredictionSampled.REASON_LOW_CONFIDENCE}
    assert len({one.prediction_id for one in told}) == len(told)
    await sampled.assert_quiet(1.0)


async def test_a_client_may_ask_without_being_sampled(
    client: InferenceClient, stack: Stack, deployment: str, sampled: Sampled
) -> None:
    await client.update(deployment, ["sampling"], sampling=SamplingPolicy(share=1, below_confidence=1))
    images, files = [png(1035), png(1036)], files_of(stack)
    answer = await client.predict_batch(deployment, images, skip_sampling=True)
    assert all(result.predictions for result in answer.results)
    await sampled.assert_quiet(1.5)
    assert files_of(stack) == files
    await client.predict_batch(deployment, images)
    assert {(await sampled.next()).image_sha256 for _ in images} == {hashlib.sha256(one).hexdigest() for one in images}


async def test_what_is_near_a_threshold_is_kept_for_so_long(
    client: InferenceClient, deployment: str, sampled: Sampled, alpha: TinyModel
) -> None:
    images = [png(seed) for seed in range(1060, 1072)]
    scores = [sorted(alpha.scores(image).values(), reverse=True) for image in images]
    margins = [best - second for best, second, *_ in scores]
    near = sorted(margins)[4]
    policy = SamplingPolicy(threshold_margin=near, keep_duration=Duration(seconds=7200))
    assert (await client.update(deployment, ["sampling"], sampling=policy)).sampling == policy
    await client.predict_batch(deployment, images)
    told = [await sampled.next() for margin in margins if margin < near]
    assert {one.image_sha256 for one in told} == {
        hashlib.sha256(image).hexdigest() for image, margin in zip(images, margins, strict=True) if margin < near
    }
    assert {one.reason for one in told} == {PredictionSampled.REASON_NEAR_THRESHOLD}
    # Of predictions that could not have been picked, nothing can be told.
    assert {one.inclusion_probability for one in told} == {0}
    kept_for = told[0].expire_time.ToDatetime(UTC) - utc_now()
    assert timedelta(hours=1.9) < kept_for <= timedelta(hours=2)
    await sampled.assert_quiet(0.5)


async def test_what_aliases_disagree_on_is_kept(
    client: InferenceClient, put_model: PutModel, deployment: str, sampled: Sampled
) -> None:
    images, contrary = [png(seed) for seed in range(8)], "projects/shop/models/sampled-contrary"
    put_model(contrary, {"onnx": TinyModel.of_seed(15).onnx})
    other = Alias(alias="canary", model=contrary, share=0.5)
    await client.update(deployment, ["sampling"], sampling=SamplingPolicy(disagreement_share=1))
    await client.update(deployment, ["aliases"], aliases=[other])
    await client.wait_predicting(f"{deployment}@canary", images[0])
    answers = [
        [(await client.predict(f"{deployment}@{alias}", image)).predictions[0].label for image in images]
        for alias in ("canary", "live")
    ]
    differing = {
        hashlib.sha256(image).hexdigest()
        for image, one, another in zip(images, *answers, strict=True)
        if one != another
    }
    assert differing
    # Half of the images of live are shown to the other one, by chance: asked again and again, all are.
    told: dict[str, PredictionSampled] = {}
    async with asyncio.timeout(30):
        while told.keys() != differing:
            await client.predict_batch(f"{deployment}@live", images)
            with suppress(NatsTimeoutError):
                while True:
                    one = await sampled.next(0.5)
                    told[one.image_sha256] = one
    assert {one.reason for one in told.values()} == {PredictionSampled.REASON_DISAGREEMENT}
    assert {one.model for one in told.values()} == {ALPHA}


async def test_a_policy_ends(client: InferenceClient, deployment: str, sampled: Sampled) -> None:
    await client.update(deployment, ["sampling"], sampling=SamplingPolicy(share=1))
    await client.predict(deployment, png(1040))
    await sampled.next()
    off = await client.update(deployment, ["sampling"])
    assert not off.HasField("sampling")
    await client.predict(deployment, png(1041))
    await sampled.assert_quiet(1.5)


async def test_a_policy_that_is_none_is_refused(client: InferenceClient, deployment: str) -> None:
    with pytest.raises(SightsmithError) as raised:
        await client.update(deployment, ["sampling"], sampling=SamplingPolicy(share=1.5, below_confidence=float("nan")))
    assert [violation.field for violation in raised.value.violations] == [
        "deployment.sampling.share",
        "deployment.sampling.below_confidence",
    ]


async def test_samples_wait_while_the_database_is_away(
    client: InferenceClient, stack: Stack, deployment: str, sampled: Sampled
) -> None:
    await client.update(deployment, ["sampling"], sampling=SamplingPolicy(share=1))
    await asyncio.to_thread(stack.kill, "postgres")
    back = asyncio.create_task(asyncio.to_thread(stack.wait_ready))
    for seed in range(1050, 1060):
        await client.predict(deployment, png(seed))
    await back
    hashes = {(await sampled.next(30)).image_sha256 for _ in range(10)}
    assert hashes == {hashlib.sha256(png(seed)).hexdigest() for seed in range(1050, 1060)}
