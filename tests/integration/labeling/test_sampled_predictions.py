"""What inference has sampled: by which reasons it is claimed, what it tells of production, and when it goes."""

import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from sqlalchemy import select, update

from sightsmith.api.events.v1.event_pb2 import Event, PredictionSampled
from sightsmith.api.labeling.v1 import review_service_pb2 as pb
from sightsmith.api.labeling.v1.review_item_pb2 import ReviewItem
from sightsmith.database import Database, utc_now
from sightsmith.objects import Objects, open_object_store, sample_key
from sightsmith.stack import Endpoints
from sightsmith_labeling.jobs.upkeep import DiscardedFiles
from sightsmith_labeling.review.sampled import on_prediction_sampled
from sightsmith_labeling.review.tables import ReviewItemRow
from sightsmith_labeling.review.upkeep import ReviewUpkeep

from .labeling_client import Failure, LabelingClient
from .review_client import ACCEPTED, NONE, ReviewClient, labelled
from .sample_images import jpeg

RANDOM, LOW, DRIFT = (
    PredictionSampled.REASON_RANDOM,
    PredictionSampled.REASON_LOW_CONFIDENCE,
    PredictionSampled.REASON_DRIFT,
)


class Sampling:
    """Does what inference does when it samples, and tells labeling of it."""

    def __init__(self, queue: ReviewClient, database: Database, servers: Endpoints) -> None:
        self.queue = queue
        self.database = database
        self.objects = Objects(open_object_store(servers.object_store_url))
        self.folder = Path(servers.object_store_url.removeprefix("file://"))
        self.project = queue.project.removeprefix("projects/")

    async def sample(
        self, image: int, reason: PredictionSampled.Reason.ValueType, probability: float = 1.0, label: str = "cat"
    ) -> str:
        """Samples a prediction; returns the key of its image."""
        prediction_id = str(uuid.uuid4())
        key = sample_key(self.project, prediction_id)
        await self.objects.put_once(key, jpeg(image))
        fact = PredictionSampled(
            prediction_id=prediction_id,
            deployment=f"{self.queue.project}/deployments/live",
            model=f"{self.queue.project}/models/v1",
            image_sha256=f"{image:064x}",
            labels=[
                PredictionSampled.Label(label=label, confidence=0.7, answered=True),
                PredictionSampled.Label(label="other", confidence=0.3),
            ],
            reason=reason,
            image_key=key,
            inclusion_probability=probability,
        )
        fact.expire_time.FromDatetime(utc_now() + timedelta(days=2))
        async with self.database.transaction() as session:
            await on_prediction_sampled(session, Event(prediction_sampled=fact))
        return key

    async def tidy(self) -> None:
        await ReviewUpkeep(self.database, keep_days=30).tidy()
        sweeper = DiscardedFiles(self.database, self.objects, delay_seconds=0)
        while await sweeper.sweep():
            pass


@pytest.fixture
async def sampling(client: LabelingClient, servers: Endpoints) -> AsyncIterator[Sampling]:
    database = Database(servers.database_url)
    yield Sampling(ReviewClient(client, await client.new_project()), database, servers)
    await database.close()


async def test_items_are_claimed_by_reason(sampling: Sampling) -> None:
    queue = sampling.queue
    for image, reason in enumerate([RANDOM, LOW, DRIFT, LOW]):
        await sampling.sample(image, reason)
    items = await queue.claim("ann", 10, [ReviewItem.REASON_DRIFT, ReviewItem.REASON_LOW_CONFIDENCE])
    assert [item.reason for item in items] == [
        ReviewItem.REASON_DRIFT,
        ReviewItem.REASON_LOW_CONFIDENCE,
        ReviewItem.REASON_LOW_CONFIDENCE,
    ]
    assert [seen.answered for seen in items[0].predictions] == [True, False]
    assert [item.reason for item in await queue.claim("ann", 10)] == [ReviewItem.REASON_RANDOM]
    with Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
        await queue.claim("ann", 10, [ReviewItem.REASON_DRIFT, ReviewItem.REASON_UNSPECIFIED])
    assert failure.fields == ["reasons[1]"]


async def test_what_is_reviewed_tells_how_often_answers_are_right(sampling: Sampling) -> None:
    queue = sampling.queue
    for image in range(4):
        await sampling.sample(image, RANDOM, probability=0.1)
    await sampling.sample(4, LOW, probability=1.0)
    await sampling.sample(5, DRIFT, probability=0.0)
    # The same image again is no other item, and its file goes; but it stands for more predictions.
    again = await sampling.sample(0, RANDOM, probability=0.1)
    await queue.request(jpeg(9), deployment=f"{queue.project}/deployments/live")
    names = await queue.names(reason=ReviewItem.REASON_RANDOM)
    assert not (await queue.precision("live")).HasField("precision")
    right = await queue.submit(names[0], "ann", labelled("cat"))
    wrong = await queue.submit(names[1], "ann", NONE)
    assert (right.state, right.corrected, wrong.corrected) == (ACCEPTED, False, True)
    found = await queue.precision("live", f"{queue.project}/models/v1")
    # 20 predictions that are right beside 10 that are wrong; nothing unsure is reviewed yet.
    assert found.precision == pytest.approx(2 / 3)
    assert found.lower_bound < found.precision < found.upper_bound
    assert found.covered_share == pytest.approx(50 / 51)
    strata = {stratum.reason: stratum for stratum in found.strata}
    assert strata.keys() == {ReviewItem.REASON_RANDOM, ReviewItem.REASON_LOW_CONFIDENCE, ReviewItem.REASON_DRIFT}
    plain = strata[ReviewItem.REASON_RANDOM]
    assert (plain.sampled_count, plain.reviewed_count, plain.corrected_count) == (4, 2, 1)
    assert plain.estimated_prediction_count == pytest.approx(50)
    assert strata[ReviewItem.REASON_DRIFT].estimated_prediction_count == 0
    assert not (await queue.precision("live", f"{queue.project}/models/v2")).strata
    await sampling.tidy()
    assert not (sampling.folder / again).exists()


async def test_samples_go_with_their_images_when_their_time_is_up(sampling: Sampling) -> None:
    queue = sampling.queue
    keys = [await sampling.sample(image, RANDOM) for image in range(3)]
    kept, accepted, open_one = await queue.names()
    item = await queue.submit(accepted, "ann", labelled("cat"))
    small = pb.DownloadReviewThumbnailRequest(name=accepted)
    assert (await queue.stub.DownloadReviewThumbnail(small, metadata=queue.metadata)).jpeg
    async with sampling.database.transaction() as session:
        past = [int(name.rpartition("/")[2]) for name in (accepted, open_one)]
        due = update(ReviewItemRow).where(ReviewItemRow.key.in_(past))
        await session.execute(due.values(expire_time=utc_now() - timedelta(seconds=1)))
    await sampling.tidy()
    assert await queue.names() == [kept]
    assert [(sampling.folder / key).exists() for key in keys] == [True, False, False]
    # What people made of it stays.
    assert [one.label for one in (await queue.image(item.image)).annotations] == ["cat"]


async def test_what_is_told_again_is_known(sampling: Sampling) -> None:
    key = await sampling.sample(1, RANDOM, probability=0.5)
    async with sampling.database.transaction() as session:
        row = (await session.scalars(select(ReviewItemRow).where(ReviewItemRow.image_key == key))).one()
        fact = PredictionSampled(
            prediction_id=row.prediction_id,
            deployment=row.deployment,
            model=row.model,
            image_sha256=row.sha256,
            image_key=key,
            inclusion_probability=0.5,
        )
        await on_prediction_sampled(session, Event(prediction_sampled=fact))
    await sampling.tidy()
    assert (sampling.folder / key).exists()
    (stratum,) = (await sampling.queue.precision("live")).strata
    assert stratum.estimated_prediction_count == 2
