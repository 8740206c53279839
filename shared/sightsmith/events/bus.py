"""The connection to NATS JetStream. A service starts and works without it and catches up when it is back."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import RetentionPolicy, StreamConfig
from nats.js.errors import BadRequestError

from sightsmith.events.facts import SUBJECT_PREFIX
from sightsmith.logs import get_logger
from sightsmith.settings import Settings

STREAM = "SIGHTSMITH_EVENTS"
DEAD_LETTER_STREAM = "SIGHTSMITH_DEAD_LETTERS"
DEAD_LETTER_PREFIX = "sightsmith.dead_letters"
_DAY_SECONDS = 24 * 3600
_RETRY_SECONDS = 1.0
_log = get_logger(__name__)


class EventBus:
    """JetStream with our streams provisioned."""

    def __init__(self, settings: Settings, name: str) -> None:
        """Prepares the connection; `run` makes it.

        Args:
            settings: where NATS is.
            name: what the connection is called in the server's monitoring.
        """
        self._settings = settings
        self._name = name
        self._connected = asyncio.Event()
        self._client: Client | None = None

    async def run(self) -> None:
        """Connects, retrying for as long as it takes, and keeps the connection until cancelled."""
        while self._client is None:
            try:
                self._client = await self._connect()
                await _provision(self._client.jetstream())
            except (TimeoutError, OSError, NatsError) as error:
                _log.warning("NATS is not reachable, trying again", error=str(error) or type(error).__name__)
                await self._close()
                await asyncio.sleep(_RETRY_SECONDS)
        self._connected.set()
        _log.info("connected to NATS")
        try:
            await asyncio.Event().wait()
        finally:
            self._connected.clear()
            await self._close()

    async def jetstream(self) -> JetStreamContext:
        """JetStream, as soon as there is a connection."""
        return (await self.client()).jetstream()

    async def client(self) -> Client:
        """The NATS client, as soon as there is a connection."""
        await self._connected.wait()
        assert self._client is not None  # noqa: S101 - set before the event is
        return self._client

    async def on_hint(self, subject: str, callback: Callable[[], None]) -> None:
        """Calls back whenever something is published on a subject. Hints may be lost: poll as well."""

        async def handle(_: Msg) -> None:
            callback()

        await (await self.client()).subscribe(subject, cb=handle)

    async def _connect(self) -> Client:
        token = self._settings.nats_token
        return await nats.connect(
            self._settings.nats_url,
            name=self._name,
            token=token.get_secret_value() if token else None,
            allow_reconnect=True,
            max_reconnect_attempts=-1,
            reconnect_time_wait=_RETRY_SECONDS,
            connect_timeout=5,
            error_cb=_log_error,
            reconnected_cb=self._provision_again,
            disconnected_cb=_logging("lost the connection to NATS"),
        )

    async def _provision_again(self) -> None:
        """A server that came back may have lost its store."""
        _log.info("reconnected to NATS")
        if self._client is not None:
            with suppress(NatsError, OSError):
                await _provision(self._client.jetstream())

    async def _close(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()


async def _provision(jetstream: JetStreamContext) -> None:
    """Makes the streams, or brings those that are there to the wanted shape."""
    wanted = [
        StreamConfig(
            STREAM, subjects=[f"{SUBJECT_PREFIX}.>"], retention=RetentionPolicy.LIMITS, max_age=7 * _DAY_SECONDS
        ),
        StreamConfig(DEAD_LETTER_STREAM, subjects=[f"{DEAD_LETTER_PREFIX}.>"], max_age=30 * _DAY_SECONDS),
    ]
    for config in wanted:
        try:
            await jetstream.add_stream(config)
        except BadRequestError:
            await jetstream.update_stream(config)


async def _log_error(error: Exception) -> None:
    _log.warning("NATS error", error=str(error) or type(error).__name__)


def _logging(message: str) -> Callable[[], Awaitable[None]]:
    async def write() -> None:
        _log.info(message)

    return write
