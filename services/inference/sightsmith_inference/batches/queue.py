"""The queue of shards: a JetStream work queue that only hands out work. What is done, the database knows."""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import msgspec
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StreamConfig
from nats.js.errors import BadRequestError

from sightsmith.events.bus import EventBus
from sightsmith_inference.batches.shards import ShardRef

_STREAM = "SIGHTSMITH_BATCH_SHARDS"
_SUBJECT = "sightsmith.batches.shards"
_CONSUMER = "batch-workers"
_FETCH_SECONDS = 5.0


class QueuedShard:
    """A shard that the queue handed out. It is handed out again if nothing is heard of it for a while."""

    def __init__(self, message: Msg) -> None:
        number = msgspec.json.decode(message.data, type=_Message)
        self.ref = ShardRef(number.job, number.shard)
        self._message = message

    async def at_work(self) -> None:
        """Shows that somebody is at it."""
        with suppress(NatsError, OSError):
            await self._message.in_progress()

    async def done(self) -> None:
        """Takes it off the queue. Where that fails, it is handed out again and found to be done."""
        with suppress(NatsError, OSError):
            await self._message.ack()

    async def later(self, seconds: float) -> None:
        """Has it handed out again after a while."""
        with suppress(NatsError, OSError):
            await self._message.nak(delay=seconds)


class ShardQueue:
    """The queue, which any number of processes share."""

    def __init__(self, bus: EventBus, ack_seconds: float) -> None:
        """Prepares everything; nothing is asked yet.

        Args:
            bus: the connection to NATS.
            ack_seconds: after how long without a sign of work a shard is handed out again.
        """
        self._bus = bus
        self._ack_seconds = ack_seconds

    async def put(self, shards: Sequence[ShardRef]) -> None:
        """Puts shards on the queue. A second message of a shard does no harm.

        Raises:
            NatsError, OSError: if NATS cannot be reached; some may be on the queue then.
        """
        jetstream = await self._bus.jetstream()
        if shards:
            await _provide(jetstream)
        for shard in shards:
            await jetstream.publish(_SUBJECT, msgspec.json.encode(_Message(shard.job, shard.number)))

    async def shards(self) -> AsyncIterator[QueuedShard]:
        """Shards as they are handed out, one at a time, for ever.

        Raises:
            NatsError, OSError: if NATS cannot be reached.
        """
        jetstream = await self._bus.jetstream()
        await _provide(jetstream)
        await jetstream.add_consumer(
            _STREAM,
            ConsumerConfig(
                durable_name=_CONSUMER,
                filter_subject=_SUBJECT,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=self._ack_seconds,
                max_deliver=-1,
            ),
        )
        subscription = await jetstream.pull_subscribe_bind(durable=_CONSUMER, stream=_STREAM)
        while True:
            try:
                messages = await subscription.fetch(batch=1, timeout=_FETCH_SECONDS)
            except TimeoutError:
                continue
            for message in messages:
                yield QueuedShard(message)


class _Message(msgspec.Struct):
    job: int
    shard: int


async def _provide(jetstream: JetStreamContext) -> None:
    """Makes the stream, or brings one that is there to the wanted shape: a server that came back may have lost it."""
    config = StreamConfig(_STREAM, subjects=[_SUBJECT], retention=RetentionPolicy.WORK_QUEUE)
    try:
        await jetstream.add_stream(config)
    except BadRequestError:
        await jetstream.update_stream(config)
