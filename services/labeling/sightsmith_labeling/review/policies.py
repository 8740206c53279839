"""How projects review."""

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database
from sightsmith.errors import InvalidArgumentError, NotFoundError
from sightsmith.names import ProjectName, ReviewPolicyName
from sightsmith_labeling import changes
from sightsmith_labeling.projects import require_project
from sightsmith_labeling.review.tables import ReviewPolicyRow

_MOST_REVIEWS = 20


class ReviewPolicies:
    """How many people must agree on an item, by project."""

    def __init__(self, database: Database, default: int) -> None:
        """Prepares everything.

        Args:
            database: where the policies are.
            default: how many people must agree where a project does not say.
        """
        self._database = database
        self._default = default

    async def get(self, name: ReviewPolicyName) -> int:
        """How many people must agree.

        Raises:
            NotFoundError: if the project does not exist.
        """
        async with self._database.transaction() as session:
            await require_project(session, ProjectName(name.project))
            return await self.required_reviews(session, name.project)

    async def set(self, name: ReviewPolicyName, required_reviews: int) -> int:
        """Sets how many people must agree.

        Raises:
            InvalidArgumentError: if that is not 1 to 20.
            NotFoundError: if the project does not exist.
        """
        if not 1 <= required_reviews <= _MOST_REVIEWS:
            rule = f"must be 1 to {_MOST_REVIEWS}, not {required_reviews}"
            raise InvalidArgumentError.of_field("review_policy.required_reviews", rule)
        values = {"required_reviews": required_reviews}
        upsert = insert(ReviewPolicyRow).values(project=name.project, **values)
        try:
            async with self._database.transaction() as session:
                await session.execute(upsert.on_conflict_do_update(index_elements=["project"], set_=values))
                changes.record(session, name.project, name, "review_policy.update", **values)
        except IntegrityError as error:
            raise NotFoundError(str(ProjectName(name.project))) from error
        return required_reviews

    async def required_reviews(self, session: AsyncSession, project: str) -> int:
        """How many people must agree in a project."""
        row = await session.get(ReviewPolicyRow, project)
        return row.required_reviews if row is not None else self._default
