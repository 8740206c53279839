"""A lease on work that only one replica may do at a time, kept in PostgreSQL."""

import uuid
from datetime import timedelta

from sqlalchemy import delete, func, or_
from sqlalchemy.dialects.postgresql import insert

from sightsmith.database import Database
from sightsmith.errors import UnavailableError
from sightsmith_inference.tables import LeaseRow


class Lease:
    """Held by whoever takes it first and renews it in time; free again when that one gives it back or dies.

    A row rather than an advisory lock, so that it works through a connection pooler. Time is the database's, so that
    the clocks of the replicas do not matter.
    """

    def __init__(self, database: Database, name: str, seconds: float) -> None:
        self._database = database
        self._name = name
        self._duration = timedelta(seconds=seconds)
        self._holder = uuid.uuid4()

    async def hold(self) -> bool:
        """Takes or renews the lease; returns whether it is ours now.

        Raises:
            UnavailableError: if the database cannot be reached.
        """
        values = {"holder": self._holder, "expire_time": func.clock_timestamp() + self._duration}
        free_or_ours = or_(LeaseRow.holder == self._holder, LeaseRow.expire_time < func.clock_timestamp())
        take = (
            insert(LeaseRow)
            .values(name=self._name, **values)
            .on_conflict_do_update(index_elements=[LeaseRow.name], set_=values, where=free_or_ours)
            .returning(LeaseRow.holder)
        )
        async with self._database.transaction() as session:
            return await session.scalar(take) is not None

    async def give_back(self) -> None:
        """Lets the next one have it at once. Without the database it runs out by itself."""
        ours = delete(LeaseRow).where(LeaseRow.name == self._name, LeaseRow.holder == self._holder)
        try:
            async with self._database.transaction() as session:
                await session.execute(ours)
        except UnavailableError:
            return
