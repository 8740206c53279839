"""Comparing what reviewers said of the same items."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select

from sightsmith.database import Database
from sightsmith.names import ProjectName
from sightsmith_labeling.projects import require_project
from sightsmith_labeling.review.agreement import Agreement, Answers, agreement
from sightsmith_labeling.review.item import Answer, Verdict, to_review
from sightsmith_labeling.review.tables import ReviewItemRow, ReviewRow

_SPOKEN = ReviewRow.verdict != Verdict.SKIPPED.value


class Comparisons:
    """Compares the reviewers of a project."""

    def __init__(self, database: Database, most_items: int) -> None:
        """Prepares everything.

        Args:
            database: where the reviews are.
            most_items: how many items count at most, the newest.
        """
        self._database = database
        self._most_items = most_items

    async def agreement(self, project: ProjectName, after: datetime | None) -> Agreement:
        """How far reviewers agree.

        Args:
            project: whose items.
            after: only items that came into the queue after it; None for all.

        Raises:
            NotFoundError: if the project does not exist.
        """
        return agreement(await self._said(project, after))

    async def _said(self, project: ProjectName, after: datetime | None) -> Sequence[Answers]:
        """What was said of each item that two people or more have reviewed."""
        items = (
            select(ReviewRow.item)
            .join(ReviewItemRow, ReviewItemRow.key == ReviewRow.item)
            .where(ReviewItemRow.project == project.project, _SPOKEN)
            .group_by(ReviewRow.item)
            .having(func.count() > 1)
            .order_by(ReviewRow.item.desc())
            .limit(self._most_items)
        )
        if after is not None:
            items = items.where(ReviewItemRow.create_time > after)
        said: dict[int, dict[str, Answer]] = defaultdict(dict)
        async with self._database.transaction() as session:
            await require_project(session, project)
            for row in await session.scalars(select(ReviewRow).where(ReviewRow.item.in_(items), _SPOKEN)):
                review = to_review(row)
                if review.answer is not None:
                    said[row.item][review.reviewer] = review.answer
        return list(said.values())
