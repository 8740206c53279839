"""Who is to review what."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, case, delete, exists, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database, utc_now
from sightsmith.errors import FailedPreconditionError
from sightsmith.names import ProjectName, ReviewItemName
from sightsmith_labeling import changes
from sightsmith_labeling.projects import require_project
from sightsmith_labeling.review.deciding import outcome
from sightsmith_labeling.review.item import Reason, ReviewItem, ReviewState, Verdict
from sightsmith_labeling.review.items import lock_items, with_reviews
from sightsmith_labeling.review.policies import ReviewPolicies
from sightsmith_labeling.review.tables import ReviewItemRow, ReviewRow


class Assignments:
    """Gives items to people and takes them back."""

    def __init__(self, database: Database, policies: ReviewPolicies, claim_seconds: float) -> None:
        """Prepares everything.

        Args:
            database: where the items are.
            policies: how many people must agree.
            claim_seconds: for how long a claimed item is kept for the person.
        """
        self._database = database
        self._policies = policies
        self._claim_duration = timedelta(seconds=claim_seconds)

    async def claim(
        self, project: ProjectName, reviewer: str, count: int, reasons: Sequence[Reason] = ()
    ) -> Sequence[ReviewItem]:
        """Gives a person the oldest items that need one more reviewer, for a while.

        Args:
            project: whose queue.
            reviewer: the person.
            count: how many at most.
            reasons: only items for these, those of the first one first; none for all.

        Raises:
            NotFoundError: if the project does not exist.
        """
        async with self._database.transaction() as session:
            await require_project(session, project)
            required = await self._policies.required_reviews(session, project.project)
            rows = await _lock_free(session, project, reviewer, required, count, reasons)
            await _assign(session, rows, reviewer, self._claim_duration)
            return await with_reviews(session, rows)

    async def assign(self, names: Sequence[ReviewItemName], reviewer: str) -> Sequence[ReviewItem]:
        """Gives a person items with no limit of time. Who has reviewed an item already keeps that review.

        Raises:
            NotFoundError: if one of the items does not exist.
            FailedPreconditionError: if one of them is settled.
        """
        async with self._database.transaction() as session:
            rows = await lock_items(session, names)
            for row in rows:
                require_unsettled(row)
            await _assign(session, rows, reviewer, None)
            for row in rows:
                name = ReviewItemName(row.project, str(row.key))
                changes.record(session, row.project, name, "review.assign", reviewer=reviewer)
            return await with_reviews(session, rows)

    async def release(self, names: Sequence[ReviewItemName], reviewer: str) -> Sequence[ReviewItem]:
        """Takes items back that a person has not reviewed; those that the person does not have stay as they are.

        Raises:
            NotFoundError: if one of the items does not exist.
        """
        async with self._database.transaction() as session:
            rows = await lock_items(session, names)
            keys = [row.key for row in rows]
            unsubmitted = (ReviewRow.reviewer == reviewer) & ReviewRow.submit_time.is_(None)
            await session.execute(delete(ReviewRow).where(ReviewRow.item.in_(keys), unsubmitted))
            required = await self._policies.required_reviews(session, rows[0].project)
            items = await with_reviews(session, rows)
            for row, item in zip(rows, items, strict=True):
                state, _ = outcome(item.reviews, required)
                if not item.state.is_settled and not state.is_settled:
                    row.state = state.value
            return await with_reviews(session, rows)


def require_unsettled(row: ReviewItemRow) -> None:
    """Makes sure that something can still become of an item.

    Raises:
        FailedPreconditionError: if nothing can.
    """
    state = ReviewState(row.state)
    if state.is_settled:
        name = ReviewItemName(row.project, str(row.key))
        raise FailedPreconditionError(f"{name} is {state.name}: it is settled", metadata={"state": state.name})


async def _lock_free(
    session: AsyncSession, project: ProjectName, reviewer: str, required: int, count: int, reasons: Sequence[Reason]
) -> Sequence[ReviewItemRow]:
    free = _is_free(reviewer, required)
    open_items = select(ReviewItemRow).where(
        ReviewItemRow.project == project.project,
        ReviewItemRow.state.in_([ReviewState.PENDING.value, ReviewState.IN_REVIEW.value]),
        free,
    )
    order: list[ColumnElement[Any]] = [ReviewItemRow.key.expression]
    if reasons:
        ranks = {reason.value: rank for rank, reason in enumerate(reasons)}
        open_items = open_items.where(ReviewItemRow.reason.in_(ranks))
        order.insert(0, case(ranks, value=ReviewItemRow.reason))
    taken: list[ReviewItemRow] = []
    while len(taken) < count:
        others = ReviewItemRow.key.not_in([row.key for row in taken])
        oldest = open_items.where(others).order_by(*order).limit(count - len(taken))
        locked = (await session.scalars(oldest.with_for_update(skip_locked=True))).all()
        if not locked:
            break
        # An item may have been given to somebody between the look at its reviews and its lock; now it cannot any more.
        keys = [row.key for row in locked]
        still_free = set(await session.scalars(select(ReviewItemRow.key).where(ReviewItemRow.key.in_(keys), free)))
        taken += [row for row in locked if row.key in still_free]
    return taken


def _is_free(reviewer: str, required: int) -> ColumnElement[bool]:
    """Whether an item needs one more reviewer, who may be this one."""
    kept = and_(
        ReviewRow.submit_time.is_(None), or_(ReviewRow.expire_time.is_(None), ReviewRow.expire_time > func.now())
    )
    of_item = ReviewRow.item == ReviewItemRow.key
    is_theirs = exists().where(of_item, ReviewRow.reviewer == reviewer, or_(kept, ReviewRow.submit_time.is_not(None)))
    places = select(func.count()).where(of_item, or_(kept, ReviewRow.verdict != Verdict.SKIPPED.value))
    return and_(~is_theirs, places.scalar_subquery() < required)


async def _assign(
    session: AsyncSession, rows: Sequence[ReviewItemRow], reviewer: str, duration: timedelta | None
) -> None:
    if not rows:
        return
    now = utc_now()
    times = {"assign_time": now, "expire_time": now + duration if duration is not None else None}
    new = insert(ReviewRow).values(
        [{"item": row.key, "reviewer": reviewer, "labels": [], "comment": "", **times} for row in rows]
    )
    again = new.on_conflict_do_update(
        index_elements=["item", "reviewer"], set_=times, where=ReviewRow.submit_time.is_(None)
    )
    await session.execute(again)
    for row in rows:
        if row.state == ReviewState.PENDING.value:
            row.state = ReviewState.IN_REVIEW.value
