"""What time does to the review queue: claims run out, samples go, and what nobody decides."""

import asyncio
from datetime import timedelta

from prometheus_client import Counter
from sqlalchemy import delete, exists, func, or_, select, update

from sightsmith.database import Database
from sightsmith.errors import UnavailableError
from sightsmith.logs import get_logger
from sightsmith_labeling.jobs.tables import DiscardedFileRow
from sightsmith_labeling.review.item import OPEN_STATES, ReviewState, Verdict
from sightsmith_labeling.review.tables import ReviewItemRow, ReviewRow

_INTERVAL_SECONDS = 60.0
_TOGETHER = 1000
_expired = Counter("sightsmith_labeling_review_items_expired_total", "Review items whose time was up.")
_log = get_logger(__name__)


class ReviewUpkeep:
    """Gives back claims that have run out, and removes samples whose time is up and what nobody decides for long."""

    def __init__(self, database: Database, keep_days: float, interval_seconds: float = _INTERVAL_SECONDS) -> None:
        """Prepares everything.

        Args:
            database: where the items are.
            keep_days: for how long an item that a client has brought waits for its decision.
            interval_seconds: how often to look.
        """
        self._database = database
        self._keep_for = timedelta(days=keep_days)
        self._interval = interval_seconds

    async def run(self) -> None:
        """Looks again and again, until cancelled."""
        while True:
            try:
                await self.tidy()
            except UnavailableError as error:
                _log.warning("the review queue is not tidied", error=error.message)
            await asyncio.sleep(self._interval)

    async def tidy(self) -> None:
        """Looks once."""
        await self._give_claims_back()
        while removed := await self._remove_expired():
            _expired.inc(removed)
            _log.info("review items whose time is up are removed", items=removed)

    async def _give_claims_back(self) -> None:
        run_out = select(ReviewRow.item).where(ReviewRow.submit_time.is_(None), ReviewRow.expire_time < func.now())
        matters = exists().where(ReviewRow.item == ReviewItemRow.key, _MATTERS)
        async with self._database.transaction() as session:
            # Whoever writes a review has locked its item; items that somebody is at wait for the next time.
            of_items = select(ReviewItemRow.key).where(ReviewItemRow.key.in_(run_out)).order_by(ReviewItemRow.key)
            keys = (await session.scalars(of_items.limit(_TOGETHER).with_for_update(skip_locked=True))).all()
            claims = ReviewRow.submit_time.is_(None) & (ReviewRow.expire_time < func.now())
            await session.execute(delete(ReviewRow).where(ReviewRow.item.in_(keys), claims))
            idle = (ReviewItemRow.state == ReviewState.IN_REVIEW.value) & ReviewItemRow.key.in_(keys) & ~matters
            await session.execute(update(ReviewItemRow).where(idle).values(state=ReviewState.PENDING.value))

    async def _remove_expired(self) -> int:
        undecided = (
            ReviewItemRow.expire_time.is_(None)
            & ReviewItemRow.state.in_(OPEN_STATES)
            & (ReviewItemRow.create_time < func.now() - self._keep_for)
        )
        old = (
            select(ReviewItemRow)
            .where(or_(undecided, ReviewItemRow.expire_time < func.now()))
            .limit(_TOGETHER)
            .with_for_update(skip_locked=True)
        )
        async with self._database.transaction() as session:
            rows = (await session.scalars(old)).all()
            # A sample's file is nobody else's; what clients brought may be an image of a dataset by now.
            session.add_all(DiscardedFileRow(key=row.image_key) for row in rows if row.expire_time is not None)
            await session.execute(delete(ReviewItemRow).where(ReviewItemRow.key.in_([row.key for row in rows])))
        return len(rows)


# What keeps an item in review: somebody has it, or has said something of it.
_MATTERS = ReviewRow.submit_time.is_(None) | (ReviewRow.verdict != Verdict.SKIPPED.value)
