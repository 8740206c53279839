"""The way of an event: outbox, relay, JetStream, consumer. Real PostgreSQL, real NATS."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import create_engine, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.api.events.v1.event_pb2 import Event, SnapshotCreated
from sightsmith.database import Database, TableBase, schema_metadata
from sightsmith.events.bus import DEAD_LETTER_STREAM, EventBus
from sightsmith.events.consumer import EventConsumer
from sightsmith.events.outbox import OutboxRelay, tell
from sightsmith.events.tables import HandledEventColumns, OutboxColumns
from sightsmith.settings import Settings

SUBJECT = "sightsmith.events.snapshot.created"


class Base(TableBase):
    __abstract__ = True
    metadata = schema_metadata("event_tests")


class Outbox(OutboxColumns, Base):
    pass


class HandledEvents(HandledEventColumns, Base):
    pass


@pytest.fixture(scope="module")
async def database(server_settings: Settings) -> AsyncIterator[Database]:
    url = server_settings.database_url.get_secret_value()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA event_tests")
        Base.metadata.create_all(connection)
    database = Database(url)
    yield database
    await database.close()


@pytest.fixture(scope="module")
async def bus(server_settings: Settings) -> AsyncIterator[EventBus]:
    bus = EventBus(server_settings, "event tests")
    async with running(bus.run()):
        yield bus


@asynccontextmanager
async def running(*work: Any) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(item) for item in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)


def consumer(bus: EventBus, database: Database, name: str, seen: list[str], subject: str = SUBJECT) -> EventConsumer:
    async def handle(_: AsyncSession, event: Event) -> None:
        seen.append(event.snapshot_created.snapshot)

    return EventConsumer(bus, database, HandledEvents, name, subject, handle)


def a_name() -> str:
    return f"test-{uuid.uuid4().hex[:8]}"


async def waiting(database: Database) -> int:
    async with database.transaction() as session:
        return int(await session.scalar(select(func.count()).select_from(Outbox)) or 0)


async def test_what_is_told_arrives_once_though_two_relays_publish(bus: EventBus, database: Database) -> None:
    names = [a_name() for _ in range(30)]
    for name in names:
        async with database.transaction() as session:
            tell(session, Outbox, SnapshotCreated(snapshot=name))
    seen: list[str] = []
    relays = [OutboxRelay(database, Outbox, bus).run() for _ in range(2)]
    async with running(*relays, consumer(bus, database, a_name(), seen).run()):
        await until(lambda: set(names) <= set(seen))
        await asyncio.sleep(0.5)
    assert sorted(set(names)) == sorted(name for name in seen if name in names)
    assert await waiting(database) == 0


async def test_what_is_undone_is_never_told(bus: EventBus, database: Database) -> None:
    undone, done = a_name(), a_name()

    async def tell_and_fail() -> None:
        async with database.transaction() as session:
            tell(session, Outbox, SnapshotCreated(snapshot=undone))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await tell_and_fail()
    async with database.transaction() as session:
        tell(session, Outbox, SnapshotCreated(snapshot=done))
    seen: list[str] = []
    async with running(OutboxRelay(database, Outbox, bus).run(), consumer(bus, database, a_name(), seen).run()):
        await until(lambda: done in seen)
    assert undone not in seen


async def test_an_event_delivered_twice_is_handled_once(bus: EventBus, database: Database) -> None:
    name, seen = a_name(), list[str]()
    event = Event(id=str(uuid.uuid4()), snapshot_created=SnapshotCreated(snapshot=name))
    jetstream = await bus.jetstream()
    # Without a message id, JetStream itself cannot tell that these are the same.
    for _ in range(3):
        await jetstream.publish(SUBJECT, event.SerializeToString())
    async with running(consumer(bus, database, a_name(), seen).run()):
        await until(lambda: name in seen)
        await asyncio.sleep(0.5)
    assert seen.count(name) == 1


async def test_a_handler_that_fails_is_called_again_and_leaves_nothing(bus: EventBus, database: Database) -> None:
    name, calls = a_name(), 0
    inner = a_name()

    async def handle(session: AsyncSession, event: Event) -> None:
        nonlocal calls
        if event.snapshot_created.snapshot != name:
            return
        calls += 1
        tell(session, Outbox, SnapshotCreated(snapshot=f"{inner}-{calls}"))
        if calls < 2:
            raise RuntimeError("not yet")

    async with database.transaction() as session:
        tell(session, Outbox, SnapshotCreated(snapshot=name))
    seen: list[str] = []
    failing = EventConsumer(bus, database, HandledEvents, a_name(), SUBJECT, handle)
    observer = consumer(bus, database, a_name(), seen)
    async with running(OutboxRelay(database, Outbox, bus).run(), failing.run(), observer.run()):
        await until(lambda: f"{inner}-2" in seen)
    assert f"{inner}-1" not in seen


async def test_what_is_no_event_goes_to_the_dead_letters(bus: EventBus, database: Database) -> None:
    name, durable, seen = a_name(), a_name(), list[str]()
    # A subject of its own: others read every snapshot there is.
    subject = f"sightsmith.events.test.{durable}"
    event = Event(id=str(uuid.uuid4()), snapshot_created=SnapshotCreated(snapshot=name))
    jetstream = await bus.jetstream()
    await jetstream.publish(subject, b"\xff no event")
    await jetstream.publish(subject, event.SerializeToString())
    dead = await jetstream.subscribe(f"sightsmith.dead_letters.{durable}", stream=DEAD_LETTER_STREAM)
    async with running(consumer(bus, database, durable, seen, subject).run()):
        message = await dead.next_msg(timeout=20)
        await until(lambda: name in seen)
    assert message.data == b"\xff no event"


async def test_what_keeps_failing_goes_to_the_dead_letters(bus: EventBus, database: Database) -> None:
    name, durable = a_name(), a_name()

    async def handle(_: AsyncSession, event: Event) -> None:
        if event.snapshot_created.snapshot == name:
            raise RuntimeError("never")

    async with database.transaction() as session:
        tell(session, Outbox, SnapshotCreated(snapshot=name))
    subject = f"sightsmith.dead_letters.{durable}"
    dead = await (await bus.jetstream()).subscribe(subject, stream=DEAD_LETTER_STREAM)
    failing = EventConsumer(bus, database, HandledEvents, durable, SUBJECT, handle, max_deliveries=2)
    async with running(OutboxRelay(database, Outbox, bus).run(), failing.run()):
        message = await dead.next_msg(timeout=20)
    assert Event.FromString(message.data).snapshot_created.snapshot == name
