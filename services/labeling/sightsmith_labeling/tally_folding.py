"""Folds the tallies of datasets and labels together, so that counting stays quick however much is written."""

import asyncio

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from sightsmith.database import Database
from sightsmith.errors import UnavailableError
from sightsmith.logs import get_logger

# Tallies of a dataset that are summed up as they are: reading a few costs nothing.
_LEFT_ALONE = 100
_INTERVAL_SECONDS = 10.0
_log = get_logger(__name__)

# Datasets with many tallies. They are held, so that deleting one waits for the fold and not the fold for it; one that
# is being deleted is passed over.
_HOLD = """
SELECT key FROM labeling.datasets WHERE key IN (
    SELECT dataset FROM labeling.{table} GROUP BY dataset HAVING count(*) > :left_alone + count(DISTINCT {thing})
) ORDER BY key FOR KEY SHARE SKIP LOCKED
"""
# One statement: who counts meanwhile sees either all of the old tallies or their sum. What another fold has in hand is
# passed over, so nothing is summed twice; tallies that come meanwhile are left for the next time.
_FOLD = """
WITH folded AS (
    DELETE FROM labeling.{table} WHERE key IN (
        SELECT key FROM labeling.{table} WHERE dataset = ANY(:datasets) FOR UPDATE SKIP LOCKED
    ) RETURNING *
)
INSERT INTO labeling.{table} ({groups}, {counts})
SELECT {groups}, {sums} FROM folded GROUP BY {groups} HAVING ({sums}) IS DISTINCT FROM ({zeros})
"""


class TallyFolding:
    """Sums up the tallies of each dataset, and of each label in it, from time to time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self) -> None:
        """Folds until it is cancelled."""
        while True:
            try:
                await self.fold()
            except (UnavailableError, DBAPIError):
                # Nothing depends on it: the counts are right unfolded too.
                _log.warning("tallies could not be folded", exc_info=True)
            await asyncio.sleep(_INTERVAL_SECONDS)

    async def fold(self, left_alone: int = _LEFT_ALONE) -> None:
        """Folds the tallies of every dataset that has many of them.

        Args:
            left_alone: how many more tallies than things to count a dataset may have.
        """
        await self._fold(
            "image_tallies", "dataset", ["dataset"], ["images", "labelled", "erroneous", "unready"], left_alone
        )
        await self._fold("label_tallies", "label", ["dataset", "label"], ["images", "boxes"], left_alone)

    async def _fold(self, table: str, thing: str, groups: list[str], counts: list[str], left_alone: int) -> None:
        names = {
            "table": table,
            "thing": thing,
            "groups": ", ".join(groups),
            "counts": ", ".join(counts),
            "sums": ", ".join(f"sum({count})" for count in counts),
            "zeros": ", ".join("0" for _ in counts),
        }
        async with self._database.transaction() as session:
            held = await session.scalars(text(_HOLD.format(**names)), {"left_alone": left_alone})
            if datasets := held.all():
                await session.execute(text(_FOLD.format(**names)), {"datasets": datasets})
