"""A database that does not answer is told as one that is away, within seconds."""

import socket
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from sightsmith.database import Database
from sightsmith.database.connection import connect_arguments
from sightsmith.errors import UnavailableError


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a server that takes every connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"postgresql+psycopg://127.0.0.1:{server.getsockname()[1]}/shop"


async def test_a_server_that_never_answers_is_away_within_seconds(silent: str) -> None:
    database, began = Database(f"{silent}?connect_timeout=2"), time.monotonic()
    with pytest.raises(UnavailableError, match="database cannot be reached"):
        async with database.transaction() as session:
            await session.execute(text("SELECT 1"))
    assert time.monotonic() - began < 4
    await database.close()


def test_the_url_has_the_last_word() -> None:
    plain = connect_arguments("postgresql+psycopg://host/shop")
    assert plain["connect_timeout"] <= 10
    assert plain["tcp_user_timeout"] <= 15_000
    told = connect_arguments("postgresql+psycopg://host/shop?connect_timeout=30&keepalives_idle=60")
    assert told == {name: plain[name] for name in plain if name not in ("connect_timeout", "keepalives_idle")}
