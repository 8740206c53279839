"""The review queue: who gets what, what people say, what comes of it, and how far they agree."""

import asyncio
import hashlib
import io
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import grpc
import nats
import PIL.Image
import pytest
from nats.js import JetStreamContext
from sqlalchemy import select, update

from sightsmith.api.events.v1.event_pb2 import PredictionSampled
from sightsmith.api.labeling.v1 import review_service_pb2 as pb
from sightsmith.api.labeling.v1.annotation_pb2 import Annotation, BoundingBox
from sightsmith.api.labeling.v1.dataset_pb2 import SPLIT_TEST
from sightsmith.api.labeling.v1.image_pb2 import Image
from sightsmith.api.labeling.v1.labeling_service_pb2 import GetImageRequest
from sightsmith.api.labeling.v1.review_item_pb2 import Answer, ReviewItem, ReviewPolicy
from sightsmith.api.labeling.v1.review_service_pb2_grpc import ReviewServiceStub
from sightsmith.database import Database, utc_now
from sightsmith.events.facts import event_of, subject_of
from sightsmith.objects import Objects, image_key, open_object_store
from sightsmith.stack import Endpoints
from sightsmith_labeling.review.tables import ReviewItemRow, ReviewRow
from sightsmith_labeling.review.upkeep import ReviewUpkeep

from .conftest import MakeProcess
from .labeling_client import Failure, LabelingClient, Sample
from .sample_images import jpeg

PENDING, IN_REVIEW = ReviewItem.STATE_PENDING, ReviewItem.STATE_IN_REVIEW
ACCEPTED, REJECTED, DISPUTED = ReviewItem.STATE_ACCEPTED, ReviewItem.STATE_REJECTED, ReviewItem.STATE_DISPUTED
NONE = Answer(verdict=Answer.VERDICT_NONE)
SKIPPED = Answer(verdict=Answer.VERDICT_SKIPPED)


class ReviewClient:
    """Calls ReviewService for one project."""

    def __init__(self, client: LabelingClient, project: str) -> None:
        self._client = client
        self.project = project
        self.stub = ReviewServiceStub(client.channel)
        self.metadata = client.metadata

    async def request(self, image: bytes, **fields: Any) -> ReviewItem:
        fields = {"model": "elsewhere/model-1", **fields}
        request = pb.CreateReviewItemRequest(parent=self.project, review_item=ReviewItem(**fields), image_content=image)
        return await self.stub.CreateReviewItem(request, metadata=self.metadata)

    async def fill(self, count: int, first: int = 0) -> list[str]:
        """Puts so many items into the queue, and returns their names."""
        return [(await self.request(jpeg(seed))).name for seed in range(first, first + count)]

    async def get(self, name: str) -> ReviewItem:
        return await self.stub.GetReviewItem(pb.GetReviewItemRequest(name=name), metadata=self.metadata)

    async def names(self, page_size: int = 0, **wanted: Any) -> list[str]:
        found: list[str] = []
        token = ""
        while True:
            request = pb.ListReviewItemsRequest(
                parent=self.project,
                filter=pb.ListReviewItemsRequest.Filter(**wanted),
                page_size=page_size,
                page_token=token,
            )
            page = await self.stub.ListReviewItems(request, metadata=self.metadata)
            found += [item.name for item in page.review_items]
            token = page.next_page_token
            if not token:
                return found

    async def claim(self, reviewer: str, count: int = 0) -> list[ReviewItem]:
        request = pb.ClaimReviewItemsRequest(parent=self.project, reviewer=reviewer, count=count)
        return list((await self.stub.ClaimReviewItems(request, metadata=self.metadata)).review_items)

    async def assign(self, reviewer: str, *names: str) -> list[ReviewItem]:
        request = pb.AssignReviewItemsRequest(parent=self.project, reviewer=reviewer, names=names)
        return list((await self.stub.AssignReviewItems(request, metadata=self.metadata)).review_items)

    async def release(self, reviewer: str, *names: str) -> list[ReviewItem]:
        request = pb.ReleaseReviewItemsRequest(parent=self.project, reviewer=reviewer, names=names)
        return list((await self.stub.ReleaseReviewItems(request, metadata=self.metadata)).review_items)

    async def submit(self, name: str, reviewer: str, answer: Answer) -> ReviewItem:
        request = pb.SubmitReviewRequest(name=name, reviewer=reviewer, answer=answer)
        return await self.stub.SubmitReview(request, metadata=self.metadata)

    async def resolve(self, name: str, answer: Answer) -> ReviewItem:
        metadata = (*self.metadata, ("x-sightsmith-actor", "judge"))
        return await self.stub.ResolveReviewItem(
            pb.ResolveReviewItemRequest(name=name, answer=answer), metadata=metadata
        )

    async def require(self, count: int) -> ReviewPolicy:
        policy = ReviewPolicy(name=f"{self.project}/reviewPolicy", required_reviews=count)
        return await self.stub.UpdateReviewPolicy(
            pb.UpdateReviewPolicyRequest(review_policy=policy), metadata=self.metadata
        )

    async def agreement(self) -> pb.Agreement:
        return await self.stub.GetAgreement(pb.GetAgreementRequest(parent=self.project), metadata=self.metadata)

    async def image(self, name: str) -> Image:
        return await self._client.stub.GetImage(GetImageRequest(name=name), metadata=self.metadata)


@pytest.fixture
async def new_project(client: LabelingClient) -> str:
    """A project without a dataset."""
    return await client.new_project()


@pytest.fixture
def queue(client: LabelingClient, new_project: str) -> ReviewClient:
    return ReviewClient(client, new_project)


def labelled(*labels: str, boxes: Sequence[tuple[str, BoundingBox]] = ()) -> Answer:
    said = [Answer.Label(label=label) for label in labels]
    said += [Answer.Label(label=label, box=box) for label, box in boxes]
    return Answer(verdict=Answer.VERDICT_LABELLED, labels=said)


def people(item: ReviewItem) -> list[str]:
    return [review.reviewer for review in item.reviews]


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


async def test_no_item_is_given_to_two_people(queue: ReviewClient) -> None:
    names = await queue.fill(30)
    given = await asyncio.gather(*(queue.claim(f"r{person % 6}", 4) for person in range(12)))
    claimed = Counter(item.name for items in given for item in items)
    assert set(claimed.values()) == {1}
    left = [item.name for person in range(6) for item in await queue.claim(f"r{person}", 30)]
    assert sorted([*claimed, *left]) == sorted(names)
    for name in names:
        assert len((await queue.get(name)).reviews) == 1


async def test_no_item_is_given_to_more_people_than_are_needed(queue: ReviewClient) -> None:
    await queue.require(2)
    names = await queue.fill(10)
    given = await asyncio.gather(*(queue.claim(f"r{person}", 10) for person in range(5)))
    given += await asyncio.gather(*(queue.claim(f"r{person}", 10) for person in range(5)))
    claimed = Counter(item.name for items in given for item in items)
    assert claimed == dict.fromkeys(names, 2)
    for name in names:
        assert len(set(people(await queue.get(name)))) == 2


async def test_claims_run_out(queue: ReviewClient, make_process: MakeProcess, client: LabelingClient) -> None:
    process = make_process({"SIGHTSMITH_REVIEW_CLAIM_SECONDS": "0.5"})
    process.start()
    quick = LabelingClient(process.target, client.metadata[0][1].removeprefix("Bearer "))
    hasty = ReviewClient(quick, queue.project)
    (name,) = await queue.fill(1)
    async with quick.channel:
        (item,) = await hasty.claim("ann")
        assert item.state == IN_REVIEW
        assert item.reviews[0].HasField("expire_time")
        assert await hasty.claim("bob") == []
        await asyncio.sleep(0.6)
        (item,) = await hasty.claim("bob")
    assert (item.name, people(item)) == (name, ["ann", "bob"])
    # Whoever was late may still say something.
    assert (await queue.submit(name, "ann", NONE)).state == REJECTED


async def test_assigned_items_are_kept_and_given_back(queue: ReviewClient) -> None:
    first, second, third = await queue.fill(3)
    items = await queue.assign("ann", second, first)
    assert [(item.name, item.state, people(item)) for item in items] == [
        (second, IN_REVIEW, ["ann"]),
        (first, IN_REVIEW, ["ann"]),
    ]
    assert not items[0].reviews[0].HasField("expire_time")
    assert [item.name for item in await queue.claim("bob")] == [third]
    assert await queue.names(reviewer="ann") == [first, second]
    (released,) = await queue.release("ann", first)
    assert (released.state, people(released)) == (PENDING, [])
    assert [item.name for item in await queue.claim("bob")] == [first]
    with Failure(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        await queue.assign("ann", f"{queue.project}/reviewItems/99999999")


async def test_people_who_agree_settle_an_item(queue: ReviewClient) -> None:
    assert (await queue.require(2)).required_reviews == 2
    (name,) = await queue.fill(1)
    box, near = BoundingBox(left=3, top=4, width=20, height=10), BoundingBox(left=4, top=4, width=20, height=10)
    item = await queue.submit(name, "ann", labelled(boxes=[("ear", box)]))
    assert (item.state, people(item)) == (IN_REVIEW, ["ann"])
    assert (await queue.submit(name, "eve", SKIPPED)).state == IN_REVIEW
    assert (await queue.submit(name, "ann", labelled(boxes=[("ear", box)]))).state == IN_REVIEW
    item = await queue.submit(name, "bob", labelled(boxes=[("ear", near)]))
    assert (item.state, item.decider, people(item)) == (ACCEPTED, "ann", ["ann", "eve", "bob"])
    (annotation,) = (await queue.image(item.image)).annotations
    assert (annotation.box, annotation.author) == (box, "ann")


async def test_a_dispute_is_resolved(queue: ReviewClient) -> None:
    await queue.require(2)
    first, second, third = await queue.fill(3)
    for name in (first, second, third):
        await queue.submit(name, "ann", labelled("cat"))
        assert (await queue.submit(name, "bob", labelled("dog"))).state == DISPUTED
    assert await queue.claim("eve") == []
    item = await queue.resolve(first, labelled("lynx"))
    assert (item.state, item.decider) == (ACCEPTED, "judge")
    assert [one.author for one in (await queue.image(item.image)).annotations] == ["judge"]
    # Or somebody changes the mind, or a third person has a word.
    assert (await queue.submit(second, "bob", labelled("cat"))).state == ACCEPTED
    assert (await queue.submit(third, "eve", labelled("dog"))).decider == "bob"
    with Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await queue.resolve(second, SKIPPED)


async def test_reviews_at_once_settle_an_item_once(queue: ReviewClient, client: LabelingClient) -> None:
    await queue.require(3)
    (name,) = await queue.fill(1)
    outcomes = await asyncio.gather(
        *(queue.submit(name, f"r{person}", labelled("cat")) for person in range(8)), return_exceptions=True
    )
    states = [outcome.state for outcome in outcomes if isinstance(outcome, ReviewItem)]
    refused = [outcome for outcome in outcomes if not isinstance(outcome, ReviewItem)]
    assert sorted(states) == [IN_REVIEW, IN_REVIEW, ACCEPTED]
    assert {error.code() for error in refused if isinstance(error, grpc.aio.AioRpcError)} == {
        grpc.StatusCode.FAILED_PRECONDITION
    }
    assert len(refused) == 5
    assert (await client.dataset(f"{queue.project}/datasets/train")).image_count == 1


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


async def test_lists_are_filtered_and_paged(queue: ReviewClient) -> None:
    names = await queue.fill(7)
    await queue.submit(names[2], "ann", NONE)
    for page_size in (1, 3, 7):
        assert await queue.names(page_size) == names
        assert await queue.names(page_size, states=[PENDING, IN_REVIEW]) == [*names[:2], *names[3:]]
    assert await queue.names(reviewer="ann") == [names[2]]
    assert await queue.names(model="nobody") == []
    assert await queue.names(reason=ReviewItem.REASON_REQUESTED) == names
    assert await queue.names(reason=ReviewItem.REASON_RANDOM) == []


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


async def test_agreement(queue: ReviewClient) -> None:
    await queue.require(3)
    empty = await queue.agreement()
    assert not empty.HasField("fleiss_kappa")
    said = {"ann": ["cat", "cat", "dog", "dog"], "bob": ["cat", "dog", "dog", "dog"]}
    for place, name in enumerate(await queue.fill(4)):
        for person, labels in said.items():
            await queue.submit(name, person, labelled(labels[place]))
        await queue.submit(name, "eve", SKIPPED)
    found = await queue.agreement()
    (pair,) = found.pairs
    assert (pair.reviewer, pair.other_reviewer, pair.item_count, pair.percent_agreement) == ("ann", "bob", 4, 0.75)
    # By hand: 3/4 observed, 1/2·1/4 + 1/2·3/4 = 1/2 expected.
    assert pair.cohen_kappa == pytest.approx(0.5)
    # By hand: 3/4 observed, (3/8)² + (5/8)² expected.
    assert found.fleiss_kappa == pytest.approx((3 / 4 - 34 / 64) / (1 - 34 / 64))
    assert found.percent_agreement == 0.75


@pytest.mark.parametrize(
    ("answer", "fields"),
    [
        (Answer(verdict=Answer.VERDICT_LABELLED), ["answer.labels"]),
        (Answer(verdict=Answer.VERDICT_NONE, labels=[Answer.Label(label="cat")]), ["answer.labels"]),
        (labelled("a\nb"), ["answer.labels[0].label"]),
        (labelled("a", boxes=[("b", BoundingBox(left=60, top=0, width=5, height=5))]), ["answer.labels[1].box.width"]),
        (Answer(verdict=Answer.VERDICT_NONE, comment="x" * 1001), ["answer.comment"]),
        (Answer(verdict=77), ["answer.verdict"]),  # type: ignore[arg-type]
    ],
)
async def test_a_wrong_answer_is_refused(queue: ReviewClient, answer: Answer, fields: list[str]) -> None:
    (name,) = await queue.fill(1)
    with Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
        await queue.submit(name, "ann", answer)
    assert failure.fields == fields
    assert (await queue.get(name)).state == PENDING


async def test_wrong_requests_are_refused(queue: ReviewClient) -> None:
    with Failure(grpc.StatusCode.INVALID_ARGUMENT, "IMAGE_UNREADABLE") as failure:
        await queue.request(b"no image")
    assert failure.fields == ["image_content"]
    with Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
        await queue.request(jpeg(1), predictions=[ReviewItem.Prediction(label="cat", confidence=2)])
    assert failure.fields == ["review_item.predictions[0].confidence"]
    with Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
        await queue.require(21)
    with Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
        await queue.claim("")
    assert failure.fields == ["reviewer"]
    with Failure(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        await queue.get(f"{queue.project}/reviewItems/12345678")


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
    await Objects(open_object_store(servers.object_store_url)).put_once(image_key(sha256), data)
    sampled = PredictionSampled(
        prediction_id=str(uuid.uuid4()),
        deployment=f"{queue.project}/deployments/live",
        model=f"{queue.project}/models/v1",
        image_sha256=sha256,
        labels=[PredictionSampled.Label(label="cat", confidence=0.4)],
        reason=PredictionSampled.REASON_LOW_CONFIDENCE,
    )
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
        prediction_id=str(uuid.uuid4()), deployment=f"{queue.project}/deployments/live", image_sha256="0" * 64
    )
    event = event_of(sampled)
    await jetstream.publish(subject_of(event), event.SerializeToString())
    async with asyncio.timeout(15):
        while not (names := await queue.names()):
            await asyncio.sleep(0.1)
    with Failure(grpc.StatusCode.FAILED_PRECONDITION, "WRONG_STATE"):
        await queue.submit(names[0], "ann", labelled("cat"))
    assert (await queue.submit(names[0], "ann", NONE)).state == REJECTED


async def test_time_gives_claims_back_and_removes_what_nobody_decides(queue: ReviewClient, servers: Endpoints) -> None:
    claimed, settled, old = await queue.fill(3)
    await queue.claim("ann", 1)
    await queue.submit(settled, "ann", NONE)
    keys = {name: int(name.rpartition("/")[2]) for name in (claimed, settled, old)}
    database = Database(servers.database_url)
    try:
        month = timedelta(days=31)
        async with database.transaction() as session:
            past = update(ReviewItemRow).where(ReviewItemRow.key.in_([keys[settled], keys[old]]))
            await session.execute(past.values(create_time=utc_now() - month))
            run_out = update(ReviewRow).where(ReviewRow.item == keys[claimed])
            await session.execute(run_out.values(expire_time=utc_now() - timedelta(seconds=1)))
        await ReviewUpkeep(database, keep_days=30).tidy()
        async with database.transaction() as session:
            rows = (await session.scalars(select(ReviewItemRow).where(ReviewItemRow.key.in_(keys.values())))).all()
        assert {row.key for row in rows} == {keys[claimed], keys[settled]}
    finally:
        await database.close()
    item = await queue.get(claimed)
    assert (item.state, people(item)) == (PENDING, [])
