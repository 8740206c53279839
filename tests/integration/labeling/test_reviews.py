"""The review queue: who gets what, what people say, and how far they agree."""

import asyncio
from collections import Counter
from datetime import timedelta

import grpc
import pytest
from sqlalchemy import select, update

from sightsmith.api.labeling.v1.annotation_pb2 import BoundingBox
from sightsmith.api.labeling.v1.review_item_pb2 import Answer, ReviewItem
from sightsmith.database import Database, utc_now
from sightsmith.stack import Endpoints
from sightsmith_labeling.review.tables import ReviewItemRow, ReviewRow
from sightsmith_labeling.review.upkeep import ReviewUpkeep

from .conftest import MakeProcess
from .labeling_client import Failure, LabelingClient
from .review_client import (
    ACCEPTED,
    DISPUTED,
    IN_REVIEW,
    NONE,
    PENDING,
    REJECTED,
    SKIPPED,
    ReviewClient,
    labelled,
    people,
)
from .sample_images import jpeg


@pytest.fixture
async def queue(client: LabelingClient) -> ReviewClient:
    """The review queue of a project without a dataset."""
    return ReviewClient(client, await client.new_project())


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


@pytest.mark.parametrize("count", [0, -1, 21])
async def test_a_number_of_reviews_that_cannot_be_is_refused(queue: ReviewClient, count: int) -> None:
    with Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
        await queue.require(count)
    assert failure.fields == ["review_policy.required_reviews"]
    assert f"must be 1 to 20, not {count}" in failure.error.message


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
