"""Asking the review queue how often a deployment's answers are right."""

from datetime import datetime

from sqlalchemy import cast, func, select
from sqlalchemy.dialects.postgresql import JSONPATH

from sightsmith.database import Database
from sightsmith.names import DeploymentName, ProjectName
from sightsmith_labeling.projects import require_project
from sightsmith_labeling.review.item import Reason
from sightsmith_labeling.review.precision import PrecisionEstimate, SampledAnswer, estimate
from sightsmith_labeling.review.tables import ReviewItemRow

_ANSWERED = "$[*] ? (@.answered == true).label"


class Production:
    """Estimates how deployments do."""

    def __init__(self, database: Database, most_items: int) -> None:
        """Prepares everything.

        Args:
            database: where the items are.
            most_items: how many items count at most, the newest.
        """
        self._database = database
        self._most_items = most_items

    async def precision(self, deployment: DeploymentName, model: str, after: datetime | None) -> PrecisionEstimate:
        """How often the answers of a deployment are right.

        Args:
            deployment: which one.
            model: only answers of this model version; empty for all.
            after: only predictions that came into the queue after it; None for all.

        Raises:
            NotFoundError: if the project does not exist.
        """
        answered = func.jsonb_path_query_array(ReviewItemRow.predictions, cast(_ANSWERED, JSONPATH))
        sampled = (
            select(ReviewItemRow.reason, ReviewItemRow.weight, answered, ReviewItemRow.true_labels)
            .where(
                ReviewItemRow.project == deployment.project,
                ReviewItemRow.deployment == str(deployment),
                # Of what clients bring, nobody knows how they chose it.
                ReviewItemRow.reason != Reason.REQUESTED.value,
            )
            .order_by(ReviewItemRow.key.desc())
            .limit(self._most_items)
        )
        if model:
            sampled = sampled.where(ReviewItemRow.model == model)
        if after is not None:
            sampled = sampled.where(ReviewItemRow.create_time > after)
        async with self._database.transaction() as session:
            await require_project(session, ProjectName(deployment.project))
            rows = (await session.execute(sampled)).all()
        return estimate(
            SampledAnswer(Reason(reason), weight, frozenset(labels), None if truth is None else frozenset(truth))
            for reason, weight, labels, truth in rows
        )
