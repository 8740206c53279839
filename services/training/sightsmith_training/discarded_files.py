"""Files in the object store that are to go as soon as no model needs them."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import timedelta

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    SQLColumnExpression,
    Text,
    and_,
    cast,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database
from sightsmith.errors import UnavailableError
from sightsmith.logs import get_logger
from sightsmith.objects import Objects
from sightsmith_training.tables import DiscardedFileRow, ModelRow

_log = get_logger(__name__)


async def discard(session: AsyncSession, keys: Iterable[str]) -> None:
    """Notes files that are to go, together with what else the transaction does.

    Args:
        session: in the transaction.
        keys: of the files; one that ends with `/` stands for all files below it.
    """
    if rows := [{"key": key} for key in keys]:
        noted = insert(DiscardedFileRow).values(rows)
        now = {"note_time": func.now(), "sweep_time": func.now()}
        await session.execute(noted.on_conflict_do_update(index_elements=[DiscardedFileRow.key], set_=now))


class DiscardedFiles:
    """Deletes the files that were noted.

    A file may be shared with copies. Once no model needs it, none ever will: a copy is made only of a model that is
    there. So a file can be deleted at any time after that, and a try that fails is simply made again.

    What lies below a prefix is looked for again and again for a while, ever more rarely: a worker that was taken for
    dead may still be storing files of a job that has ended.
    """

    def __init__(self, database: Database, objects: Objects, late_seconds: float = 86400.0) -> None:
        """Deletes nothing yet.

        Args:
            database: where they are noted.
            objects: where they are.
            late_seconds: for how long after it was noted files may still come below a prefix.
        """
        self._database = database
        self._objects = objects
        self._late = timedelta(seconds=late_seconds)

    async def run(self, every_seconds: float) -> None:
        """Deletes again and again, until cancelled."""
        while True:
            await self.sweep()
            await asyncio.sleep(every_seconds)

    async def sweep(self) -> None:
        """Deletes the files that no model needs; leaves them for later while a server is out of reach."""
        try:
            async with self._database.transaction() as session:
                row = DiscardedFileRow
                noted = select(row.key).where(row.sweep_time <= func.now(), ~_is_needed(row.key))
                keys = (await session.scalars(noted)).all()
            for key in keys:
                if key.endswith("/"):
                    await self._delete_below(key)
                else:
                    await self._objects.delete(key)
            await self._forget(keys)
        except UnavailableError as error:
            _log.warning("discarded files stay for now", error=error.message)

    async def _forget(self, keys: Sequence[str]) -> None:
        """Forgets what was swept, but for young prefixes: these are due again when they are twice as old as now."""
        row = DiscardedFileRow
        age = func.now() - row.note_time
        is_young_prefix = and_(row.key.endswith("/"), age < self._late)
        async with self._database.transaction() as session:
            await session.execute(delete(row).where(row.key.in_(keys), ~is_young_prefix))
            await session.execute(update(row).where(row.key.in_(keys)).values(sweep_time=func.now() + age))

    async def _delete_below(self, prefix: str) -> None:
        found = await self._objects.keys_below(prefix.removesuffix("/"))
        stored = func.unnest(cast(found, ARRAY(Text))).column_valued("key")
        async with self._database.transaction() as session:
            keys = (await session.scalars(select(stored).where(~_is_needed(stored)))).all()
        for key in keys:
            await self._objects.delete(key)


def _is_needed(key: SQLColumnExpression[str]) -> ColumnElement[bool]:
    """Whether a model has the file of a key; none has one that ends with `/`."""
    file = func.jsonb_build_array(func.jsonb_build_object("key", key))
    return exists().where(or_(ModelRow.artifacts.contains(file), ModelRow.report_files.contains(file)))
