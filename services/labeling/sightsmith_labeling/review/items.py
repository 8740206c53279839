"""Review items: putting them into the queue and finding them."""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database
from sightsmith.errors import AlreadyExistsError, NotFoundError
from sightsmith.names import ProjectName, ReviewItemName
from sightsmith.objects import image_key
from sightsmith.paging import PageRequest, page_of
from sightsmith_labeling.constraints import violated_constraint
from sightsmith_labeling.numbered_ids import number_of_id
from sightsmith_labeling.projects import require_project
from sightsmith_labeling.review.item import (
    OPEN_STATES,
    Prediction,
    Reason,
    ReviewItem,
    ReviewState,
    Sample,
    Seen,
    stored_label,
    to_item,
)
from sightsmith_labeling.review.tables import ReviewItemRow, ReviewRow


@dataclass(frozen=True)
class ReviewFilter:
    """Which items are meant: those that fulfil every condition that is set.

    Attributes:
        reviewer: who reviewed them or is to do so.
    """

    states: Sequence[ReviewState] = ()
    reviewer: str = ""
    deployment: str = ""
    model: str = ""
    reason: Reason | None = None


class ReviewItems:
    """The review items in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, project: ProjectName, sha256: str, prediction: Prediction) -> ReviewItem:
        """Puts a prediction into the queue.

        Raises:
            NotFoundError: if the project does not exist.
            AlreadyExistsError: if the queue had that prediction, or has the image from the same model.
        """
        row = ReviewItemRow(**_values(project.project, sha256, prediction))
        try:
            async with self._database.transaction() as session:
                session.add(row)
        except IntegrityError as error:
            if violated_constraint(error) == "fk_review_items_project":
                raise NotFoundError(str(project)) from error
            raise await self._conflict(project, sha256, prediction) from error
        return to_item(row, ())

    async def get(self, name: ReviewItemName) -> ReviewItem:
        """Returns an item.

        Raises:
            NotFoundError: if it does not exist.
        """
        async with self._database.transaction() as session:
            row = await session.scalar(_named(name))
            if row is None:
                raise NotFoundError(str(name))
            (item,) = await with_reviews(session, [row])
        return item

    async def list(
        self, project: ProjectName, wanted: ReviewFilter, page: PageRequest
    ) -> tuple[Sequence[ReviewItem], str]:
        """Returns a page of a project's items, the oldest first, and the token of the next page.

        Raises:
            NotFoundError: if the project does not exist.
        """
        query = _matching(project, wanted).order_by(ReviewItemRow.key).limit(page.size + 1)
        if page.after is not None:
            query = query.where(ReviewItemRow.key > page.after_number)
        async with self._database.transaction() as session:
            await require_project(session, project)
            rows = (await session.scalars(query)).all()
            rows, token = page_of(rows, page, key=lambda row: row.key)
            return await with_reviews(session, rows), token

    async def _conflict(self, project: ProjectName, sha256: str, prediction: Prediction) -> AlreadyExistsError:
        same = (ReviewItemRow.prediction_id == prediction.prediction_id) | (
            (ReviewItemRow.sha256 == sha256) & (ReviewItemRow.model == prediction.model)
        )
        latest = select(ReviewItemRow.key).where(ReviewItemRow.project == project.project, same)
        async with self._database.transaction() as session:
            key = await session.scalar(latest.order_by(ReviewItemRow.key.desc()).limit(1))
        there = str(ReviewItemName(project.project, str(key)))
        return AlreadyExistsError(f"the prediction is in the queue already: {there}", metadata={"name": there})


async def add_sample(session: AsyncSession, project: str, sha256: str, prediction: Prediction, sample: Sample) -> bool:
    """Puts a sampled prediction into the queue of a project that is there.

    An image that waits there from the same model is not put there again: the item stands for more predictions then.

    Returns:
        Whether the sample's file is the image of an item, now or already; if not, nobody needs it.
    """
    added = (
        insert(ReviewItemRow)
        .values(**_values(project, sha256, prediction, sample))
        .on_conflict_do_nothing()
        .returning(ReviewItemRow.key)
    )
    if await session.scalar(added) is not None:
        return True
    its_own = select(ReviewItemRow.key).where(
        ReviewItemRow.project == project, ReviewItemRow.prediction_id == prediction.prediction_id
    )
    if await session.scalar(its_own) is not None:
        return True
    same = (
        ReviewItemRow.project == project,
        ReviewItemRow.sha256 == sha256,
        ReviewItemRow.model == prediction.model,
        ReviewItemRow.state.in_(OPEN_STATES),
    )
    await session.execute(update(ReviewItemRow).where(*same).values(weight=ReviewItemRow.weight + sample.weight))
    return False


async def lock_items(session: AsyncSession, names: Sequence[ReviewItemName]) -> Sequence[ReviewItemRow]:
    """Locks items of one project until the transaction ends: whoever writes a review has locked its item.

    Returns:
        Their rows in the order of `names`, each once.

    Raises:
        NotFoundError: if one of them does not exist.
    """
    keys = {name: number_of_id(name.review_item) for name in names}
    rows = await session.scalars(
        select(ReviewItemRow)
        .where(
            ReviewItemRow.project.in_({name.project for name in names}),
            ReviewItemRow.key.in_(key for key in keys.values() if key is not None),
        )
        # Always in the same order, so that two transactions never wait for each other.
        .order_by(ReviewItemRow.key)
        .with_for_update()
    )
    found = {row.key: row for row in rows}
    for name, key in keys.items():
        if key not in found:
            raise NotFoundError(str(name))
    return [found[key] for key in keys.values() if key is not None]


async def with_reviews(session: AsyncSession, rows: Iterable[ReviewItemRow]) -> Sequence[ReviewItem]:
    """The items of rows, with what was said of them."""
    rows = list(rows)
    reviews: dict[int, list[ReviewRow]] = defaultdict(list)
    for review in await session.scalars(select(ReviewRow).where(ReviewRow.item.in_([row.key for row in rows]))):
        reviews[review.item].append(review)
    return [to_item(row, reviews[row.key]) for row in rows]


def _named(name: ReviewItemName) -> Select[ReviewItemRow]:
    return select(ReviewItemRow).where(
        ReviewItemRow.project == name.project, ReviewItemRow.key == (number_of_id(name.review_item) or 0)
    )


def _matching(project: ProjectName, wanted: ReviewFilter) -> Select[ReviewItemRow]:
    query = select(ReviewItemRow).where(ReviewItemRow.project == project.project)
    if wanted.states:
        query = query.where(ReviewItemRow.state.in_([state.value for state in wanted.states]))
    if wanted.reviewer:
        theirs = select(ReviewRow.item).where(ReviewRow.reviewer == wanted.reviewer)
        query = query.where(ReviewItemRow.key.in_(theirs))
    if wanted.deployment:
        query = query.where(ReviewItemRow.deployment == wanted.deployment)
    if wanted.model:
        query = query.where(ReviewItemRow.model == wanted.model)
    if wanted.reason is not None:
        query = query.where(ReviewItemRow.reason == wanted.reason.value)
    return query


def _values(project: str, sha256: str, prediction: Prediction, sample: Sample | None = None) -> dict[str, object]:
    return {
        "project": project,
        "sha256": sha256,
        "prediction_id": prediction.prediction_id or str(uuid.uuid4()),
        "deployment": prediction.deployment,
        "model": prediction.model,
        "predictions": list(map(_stored_seen, prediction.predictions)),
        "reason": prediction.reason.value,
        "image_key": sample.image_key if sample else image_key(sha256),
        "expire_time": sample.expire_time if sample else None,
        "weight": sample.weight if sample else 0.0,
    }


def _stored_seen(seen: Seen) -> dict[str, object]:
    stored = {**stored_label(seen.label, seen.box), "confidence": seen.confidence}
    return {**stored, "answered": True} if seen.answered else stored
