"""Reading several things as they stand at one moment, and many images without holding all of them in memory."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Row, Select, SQLColumnExpression, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database
from sightsmith_labeling.tables import ImageRow

# What is in memory at once, in annotations; the rest of an image weighs about as much as twenty of them.
_IMAGE_WEIGHT = 20
_WEIGHT_AT_ONCE = 25_000


@asynccontextmanager
async def one_moment(database: Database) -> AsyncIterator[AsyncSession]:
    """A transaction that reads and does not see what is changed meanwhile.

    Rows name labels by key: read apart, an image could name a label that was merged away between the two reads.
    """
    async with database.transaction() as session:
        await session.connection(execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True})
        yield session


async def image_batches(
    session: AsyncSession, wanted: Select[*tuple[Any, ...]], order: Sequence[SQLColumnExpression[Any]]
) -> AsyncIterator[Sequence[Row[*tuple[Any, ...]]]]:
    """Reads images a batch at a time: about a thousand of them, or fewer where they have many annotations.

    Args:
        session: a transaction that does not see what is changed meanwhile.
        wanted: selects from `images`.
        order: how they are ordered; leaves nothing to chance.
    """
    # The database adds the weights up, so that only the sizes of the batches come over.
    weight = func.sum(_IMAGE_WEIGHT + func.jsonb_array_length(ImageRow.annotations)).over(order_by=order)
    batch = (weight // _WEIGHT_AT_ONCE).label("batch")
    weighed = wanted.with_only_columns(batch, maintain_column_froms=True).subquery()
    sizes = select(func.count(weighed.c.batch)).group_by(weighed.c.batch).order_by(weighed.c.batch)
    counted = (await session.scalars(sizes)).all()
    rows = await session.stream(wanted.order_by(*order))
    for size in counted:
        yield await rows.fetchmany(size)
