"""Reading several things as they stand at one moment."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database


@asynccontextmanager
async def one_moment(database: Database) -> AsyncIterator[AsyncSession]:
    """A transaction that reads and does not see what is changed meanwhile.

    Rows name labels by key: read apart, an image could name a label that was merged away between the two reads.
    """
    async with database.transaction() as session:
        await session.connection(execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True})
        yield session
