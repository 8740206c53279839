"""Connections and transactions."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import msgspec
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from sightsmith.errors import UnavailableError

# How long PostgreSQL may be silent, as libpq has it: seconds to connect, then seconds until a silent connection is
# probed, between probes, and how many of them; and milliseconds until what was sent must have arrived. Without these a
# network that swallows packets is waited for for a quarter of an hour, in which a worker loses its lease unawares.
_PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


def connect_arguments(url: str) -> dict[str, Any]:
    """What a driver needs beside the URL: how patient it is, unless the URL says so under the names of libpq."""
    told = make_url(url).query
    return {name: value for name, value in _PATIENCE.items() if name not in told}


class Database:
    """A pool of connections to PostgreSQL."""

    def __init__(self, url: str, pool_size: int = 10) -> None:
        """Prepares the pool; nothing is connected yet.

        Args:
            url: SQLAlchemy URL, `postgresql+psycopg://…`; parameters of libpq may follow, `?connect_timeout=10`.
            pool_size: connections kept open; as many again may be opened under load.
        """
        # prepare_threshold=None: prepared statements do not survive a connection pooler such as PgBouncer.
        self._engine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_pre_ping=True,
            connect_args={"prepare_threshold": None, **connect_arguments(url)},
            json_serializer=_json_text,
            json_deserializer=msgspec.json.decode,
        )
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A session whose work is committed at the end, or undone as a whole if an error leaves the block.

        Raises:
            UnavailableError: if PostgreSQL cannot be reached or the connection broke.
        """
        try:
            async with self._sessions.begin() as session:
                yield session
        except (OperationalError, InterfaceError, PoolTimeoutError) as error:
            raise _unavailable() from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise _unavailable() from error
            raise

    async def close(self) -> None:
        """Closes every connection."""
        await self._engine.dispose()


class Transactions(Protocol):
    """What gives transactions: a database, or a transaction that is under way."""

    def transaction(self) -> AbstractAsyncContextManager[AsyncSession]:
        """A session whose work is kept at the end, or undone as a whole if an error leaves the block."""


class Within:
    """A transaction that is under way, in the place of the database: what is done here stays only if it does."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """The session of the transaction; an error that leaves the block undoes what was done in the block alone."""
        async with self._session.begin_nested():
            yield self._session


def _unavailable() -> UnavailableError:
    return UnavailableError("the database cannot be reached; try again", metadata={"service": "postgresql"})


def _json_text(value: object) -> str:
    return msgspec.json.encode(value).decode()
