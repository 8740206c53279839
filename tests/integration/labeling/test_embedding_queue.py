"""Who is embedded next, where many images wait."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select, update

from sightsmith.database import Database, migrate, utc_now
from sightsmith_labeling.embeddings.queue import EmbeddingQueue
from sightsmith_labeling.embeddings.tables import EmbeddingQueueRow
from sightsmith_labeling.tables import MIGRATIONS, SCHEMA


@pytest.fixture
async def database(empty_database: str) -> AsyncIterator[Database]:
    await asyncio.to_thread(migrate, empty_database, SCHEMA, MIGRATIONS)
    database = Database(empty_database)
    yield database
    await database.close()


@pytest.fixture
def queue(database: Database) -> EmbeddingQueue:
    return EmbeddingQueue(database, quiet_seconds=0, patience_seconds=0)


async def add(database: Database, *sha256s: str) -> None:
    async with database.transaction() as session:
        for sha256 in sha256s:
            await session.execute(insert(EmbeddingQueueRow).values(sha256=sha256))


async def test_a_few_images_do_not_wait_for_many_before_them(database: Database, queue: EmbeddingQueue) -> None:
    many = [f"a{number:03}" for number in range(100)]
    await add(database, *many, "few-1", "few-2")
    claimed = await queue.claim(10)
    assert claimed.sha256s == sorted([*many[:5], *many[-3:], "few-1", "few-2"])
    assert set(claimed.attempts.values()) == {1}
    # Meanwhile another worker has others.
    assert (await queue.claim(4)).sha256s == sorted([*many[5:7], *many[-5:-3]])
    await queue.give_back(claimed)
    again = await queue.claim(10)
    assert (again.sha256s, again.attempts) == (claimed.sha256s, claimed.attempts)


async def test_a_short_queue_is_claimed_as_a_whole(database: Database, queue: EmbeddingQueue) -> None:
    await add(database, "a", "b", "c", "b")
    claimed = await queue.claim(5)
    assert claimed.sha256s == ["a", "b", "c"]
    assert len(claimed.keys) == len(set(claimed.keys)) == 4
    async with database.transaction() as session:
        await queue.finish(session, claimed, unfinished=["b"])
        assert await session.scalar(select(func.count()).select_from(EmbeddingQueueRow)) == 2
    assert not (await queue.claim(5)).keys


async def test_one_at_a_time_comes_in_order(database: Database, queue: EmbeddingQueue) -> None:
    await add(database, "a", "b")
    assert [(await queue.claim(1)).sha256s for _ in range(3)] == [["a"], ["b"], []]


async def test_an_image_that_pauses_does_not_disturb_the_quiet(database: Database) -> None:
    queue = EmbeddingQueue(database, quiet_seconds=600, patience_seconds=600)
    hour, now = timedelta(hours=1), utc_now()
    stuck = insert(EmbeddingQueueRow).values(sha256="stuck", queue_time=now - hour, claim_expire_time=now + hour)
    async with database.transaction() as session:
        await session.execute(stuck)
    await add(database, "new")
    assert not (await queue.claim(5)).keys
    async with database.transaction() as session:
        await session.execute(update(EmbeddingQueueRow).values(claim_expire_time=None))
    # Now it waits again, and has for too long.
    assert (await queue.claim(5)).sha256s == ["new", "stuck"]
