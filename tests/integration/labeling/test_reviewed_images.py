"""Where the items of the review queue come from, and what becomes of their images."""

import asyncio
import hashlib
import io
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import grpc
import nats
import PIL.Image
import pytest
from nats.js import JetStreamContext

from sightsmith.api.events.v1.event_pb2 import PredictionSampled
from sightsmith.api.labeling.v1 import review_service_pb2 as pb
from sightsmith.api.labeling.v1.annotation_pb2 import Annotation, BoundingBox
from sightsmith.api.labeling.v1.dataset_pb2 import SPLIT_TEST
from sightsmith.api.labeling.v1.review_item_pb2 import ReviewItem
from sightsmith.database import utc_now
from sightsmith.events.facts import event_of, subject_of
from sightsmith.objects import Objects, open_object_store, sample_key
from sightsmith.stack import Endpoints

from .labeling_client import Failure, LabelingClient, Sample
from .review_client import ACCEPTED, NONE, PENDING, REJECTED, ReviewClient, labelled
from .sample_images import jpeg


@pytest.fixture
async def queue(client: LabelingClient) -> ReviewClient:
    """The review queue of a project without a dataset."""
    return ReviewClient(client, await client.new_project())


async def test_an_accepted_item_is_a_labelled_image(queue: ReviewClient, client: LabelingClient) -> None:
    data = jpeg(1)
    predicted = [ReviewItem.Prediction(label="dog", confidence=0.4), ReviewItem.Prediction(label="cat", confidence=0.3)]
    deployment = f"{queue.project}/deployments/live"
    item = await queue.request(data, prediction_id="p-1", deployment=deployment, predictions=predicted)
    assert (item.state, item.reason) == (PENDING, ReviewItem.REASON_REQUESTED)
    assert item.image_sha256 == hashlib.sha256(data).hexdigest()
    assert list(item.predictions) == predicted
    download = queue.stub.DownloadReviewImage(pb.DownloadReviewImageRequest(name=item.name), metadata=queue.metadata)
    assert b"".join([part.chunk async for part in download]) == data

    small = pb.DownloadReviewThumbnailRequest(name=item.name)
    thumbnail = await queue.stub.DownloadReviewThumbnail(small, metadata=queue.metadata)
    assert PIL.Image.open(io.BytesIO(thumbnail.jpeg)).size == (64, 48)

    box = BoundingBox(left=3, top=4, width=20, height=10)
    item = await queue.submit(item.name, "ann", labelled("cat", boxes=[("ear", box)]))
    assert (item.state, item.decider) == (ACCEPTED, "ann")
    assert item.image.startswith(f"{queue.project}/datasets/train/images/")
    image = await queue.image(item.image)
    assert image.source == f"{deployment}/predictions/p-1"
    assert [(one.label, one.origin, one.author) for one in image.annotations] == [
        ("cat", Annotation.ORIGIN_PERSON, "ann"),
        ("ear", Annotation.ORIGIN_PERSON, "ann"),
    ]
    assert image.annotations[1].box == box
    assert (image.width, image.height) == (64, 48)
    assert await client.download(item.image) == data
    assert (await client.dataset(f"{queue.project}/datasets/train")).labelled_image_count == 1


async def test_nothing_of_use_is_dismissed(queue: ReviewClient) -> None:
    (name,) = await queue.fill(1)
    item = await queue.submit(name, "ann", NONE)
    assert (item.state, item.image, item.decider) == (REJECTED, "", "ann")
    with Failure(grpc.StatusCode.FAILED_PRECONDITION, "WRONG_STATE"):
        await queue.submit(name, "bob", labelled("cat"))
    with Failure(grpc.StatusCode.FAILED_PRECONDITION, "WRONG_STATE"):
        await queue.resolve(name, labelled("cat"))


async def test_an_image_that_is_there_gets_what_it_lacks(client: LabelingClient, dataset: str, project: str) -> None:
    (answer,) = await client.upload(dataset, [Sample("1.jpg", jpeg(1), ("cat",))])
    queue = ReviewClient(client, project)
    (name,) = await queue.fill(1, first=1)
    item = await queue.submit(name, "ann", labelled("cat", "dog"))
    assert item.image == answer.image.name
    found = [(one.label, one.author) for one in (await queue.image(item.image)).annotations]
    assert found == [("cat", ""), ("dog", "ann")]


async def test_an_image_of_the_test_dataset_stays_as_it_is(client: LabelingClient, dataset: str, project: str) -> None:
    test = await client.new_dataset(project, "test", SPLIT_TEST)
    (answer,) = await client.upload(test, [Sample("1.jpg", jpeg(1), ("cat",))])
    queue = ReviewClient(client, project)
    (name,) = await queue.fill(1, first=1)
    item = await queue.submit(name, "ann", labelled("dog"))
    assert (item.state, item.image) == (ACCEPTED, answer.image.name)
    assert [one.label for one in (await queue.image(item.image)).annotations] == ["cat"]
    assert (await client.dataset(dataset)).image_count == 0


async def test_a_prediction_is_in_the_queue_once(queue: ReviewClient) -> None:
    item = await queue.request(jpeg(1), prediction_id="p-1")
    for image, prediction_id in ((jpeg(2), "p-1"), (jpeg(1), "p-2")):
        with Failure(grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS") as failure:
            await queue.request(image, prediction_id=prediction_id)
        assert failure.error.metadata["name"] == item.name
    await queue.request(jpeg(1), prediction_id="p-3", model="elsewhere/model-2")
    # Once it is settled, the same image may be asked about again.
    await queue.submit(item.name, "ann", NONE)
    await queue.request(jpeg(1), prediction_id="p-4")


@pytest.fixture
async def jetstream(servers: Endpoints) -> AsyncIterator[JetStreamContext]:
    assert servers.nats_token_file is not None
    connection = await nats.connect(servers.nats_url, token=servers.nats_token_file.read_text().strip())
    yield connection.jetstream()
    await connection.close()


async def test_sampled_predictions_come_into_the_queue_once(
    queue: ReviewClient, servers: Endpoints, jetstream: JetStreamContext
) -> None:
    data = jpeg(7)
    sha256 = hashlib.sha256(data).hexdigest()
    prediction_id = str(uuid.uuid4())
    key = sample_key(queue.project.removeprefix("projects/"), prediction_id)
    await Objects(open_object_store(servers.object_store_url)).put_once(key, data)
    sampled = PredictionSampled(
        prediction_id=prediction_id,
        image_key=key,
        deployment=f"{queue.project}/deployments/live",
        model=f"{queue.project}/models/v1",
        image_sha256=sha256,
        labels=[PredictionSampled.Label(label="cat", confidence=0.4)],
        reason=PredictionSampled.REASON_LOW_CONFIDENCE,
    )
    sampled.expire_time.FromDatetime(utc_now() + timedelta(days=1))
    of_nobody = PredictionSampled(deployment="projects/nobody-there/deployments/live", image_sha256=sha256)
    # Told once and again, as other events, of which only the first one counts.
    for fact in (of_nobody, sampled, sampled):
        event = event_of(fact)
        for _ in range(2):
            await jetstream.publish(subject_of(event), event.SerializeToString())
    async with asyncio.timeout(15):
        while not (names := await queue.names()):
            await asyncio.sleep(0.1)
    await asyncio.sleep(0.5)
    assert await queue.names() == names
    item = await queue.get(names[0])
    assert (item.reason, item.prediction_id) == (ReviewItem.REASON_LOW_CONFIDENCE, sampled.prediction_id)
    assert (item.deployment, item.model) == (sampled.deployment, sampled.model)
    assert [(seen.label, seen.confidence) for seen in item.predictions] == [("cat", 0.4)]
    accepted = await queue.submit(item.name, "ann", labelled("dog"))
    assert [one.label for one in (await queue.image(accepted.image)).annotations] == ["dog"]


async def test_an_image_that_is_gone_can_only_be_dismissed(queue: ReviewClient, jetstream: JetStreamContext) -> None:
    sampled = PredictionSampled(
        prediction_id=str(uuid.uuid4()),
        deployment=f"{queue.project}/deployments/live",
        image_sha256="0" * 64,
        image_key="samples/gone/1",
    )
    sampled.expire_time.FromDatetime(utc_now() + timedelta(days=1))
    event = event_of(sampled)
    await jetstream.publish(subject_of(event), event.SerializeToString())
    async with asyncio.timeout(15):
        while not (names := await queue.names()):
            await asyncio.sleep(0.1)
    with Failure(grpc.StatusCode.FAILED_PRECONDITION, "WRONG_STATE"):
        await queue.submit(names[0], "ann", labelled("cat"))
    assert (await queue.submit(names[0], "ann", NONE)).state == REJECTED
