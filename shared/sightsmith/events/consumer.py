"""Handling events exactly once in effect, though they are delivered at least once."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from google.protobuf.message import DecodeError
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.api.events.v1.event_pb2 import Event
from sightsmith.database import Database
from sightsmith.events.bus import DEAD_LETTER_PREFIX, STREAM, EventBus
from sightsmith.events.tables import HandledEventColumns
from sightsmith.logs import bind_request_id, get_logger

Handler = Callable[[AsyncSession, Event], Awaitable[None]]

_ACK_WAIT_SECONDS = 60
_FETCH_SECONDS = 5.0
_log = get_logger(__name__)


class EventConsumer:
    """A durable consumer of one subject.

    The handler's changes and the record that the event was handled are one transaction. What fails is delivered
    again, later and later; what fails for good goes to the dead letters, where a person can look at it.
    """

    def __init__(
        self,
        bus: EventBus,
        database: Database,
        handled: type[HandledEventColumns],
        name: str,
        subject: str,
        handle: Handler,
        max_deliveries: int = 8,
    ) -> None:
        self._bus = bus
        self._database = database
        self._handled = handled
        self._name = name
        self._subject = subject
        self._handle = handle
        self._max_deliveries = max_deliveries

    async def run(self) -> None:
        """Handles events until cancelled."""
        while True:
            try:
                await self._consume()
            except (TimeoutError, NatsError, OSError) as error:
                _log.warning("cannot fetch events, trying again", consumer=self._name, error=str(error))
                await asyncio.sleep(1)

    async def _consume(self) -> None:
        jetstream = await self._bus.jetstream()
        # Provisioned explicitly: subscribing to a durable that is there keeps its old configuration without a word.
        config = ConsumerConfig(
            durable_name=self._name,
            filter_subject=self._subject,
            ack_policy=AckPolicy.EXPLICIT,
            deliver_policy=DeliverPolicy.ALL,
            ack_wait=_ACK_WAIT_SECONDS,
            max_deliver=self._max_deliveries + 1,
        )
        await jetstream.add_consumer(STREAM, config)
        subscription = await jetstream.pull_subscribe_bind(durable=self._name, stream=STREAM)
        while True:
            try:
                messages = await subscription.fetch(batch=10, timeout=_FETCH_SECONDS)
            except NatsTimeoutError:
                continue
            for message in messages:
                await self._deliver(message)

    async def _deliver(self, message: Msg) -> None:
        try:
            event = Event.FromString(message.data)
        except DecodeError:
            await self._give_up(message)
            return
        bind_request_id(event.request_id)
        try:
            await self._handle_once(event)
        except Exception:
            await self._fail(message, event)
        else:
            await message.ack()

    async def _handle_once(self, event: Event) -> None:
        first_time = (
            insert(self._handled)
            .values(consumer=self._name, event_id=uuid.UUID(event.id))
            .on_conflict_do_nothing()
            .returning(self._handled.event_id)
        )
        async with self._database.transaction() as session:
            if (await session.execute(first_time)).scalar() is not None:
                await self._handle(session, event)

    async def _fail(self, message: Msg, event: Event) -> None:
        deliveries = message.metadata.num_delivered or 1
        context: dict[str, Any] = {"consumer": self._name, "event_id": event.id, "deliveries": deliveries}
        if deliveries < self._max_deliveries:
            _log.warning("event could not be handled, will be delivered again", exc_info=True, **context)
            await message.nak(delay=min(2**deliveries, 60))
            return
        await self._give_up(message, **context)

    async def _give_up(self, message: Msg, **context: Any) -> None:
        """Puts a message where a person can look at it, and has it delivered no more."""
        _log.error("event given up and put with the dead letters", exc_info=True, **context)
        await (await self._bus.jetstream()).publish(f"{DEAD_LETTER_PREFIX}.{self._name}", message.data)
        await message.term()
