"""Retrainings and their policies in the database."""

import uuid
from collections.abc import Sequence

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.api.events.v1.event_pb2 import Event
from sightsmith.database import Database, utc_now
from sightsmith.errors import NotFoundError
from sightsmith.names import DeploymentName, RetrainingName
from sightsmith.paging import PageRequest, page_of
from sightsmith_training.engine.specification import Effort
from sightsmith_training.retraining.retraining import Retraining, RetrainingPolicy, RetrainingState
from sightsmith_training.tables import CorrectionsRow, RetrainingPolicyRow, RetrainingRow

SUBJECT = "sightsmith.events.review_item.settled"
CONSUMER = "training-review-item-settled"
_OPEN = RetrainingRow.end_time.is_(None)


class Retrainings:
    """The retrainings of all projects."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(
        self,
        deployment: DeploymentName,
        baseline: str,
        effort: Effort,
        *,
        only_if_better: bool,
        request_id: uuid.UUID | None,
    ) -> Retraining:
        """Writes down that a model is to be trained anew, or returns what the same request began before."""
        new = insert(RetrainingRow).values(
            project=deployment.project,
            request_id=request_id or uuid.uuid4(),
            deployment=str(deployment),
            baseline=baseline,
            effort=effort,
            only_if_better=only_if_better,
        )
        begun = new.on_conflict_do_nothing().returning(RetrainingRow.sequence)
        async with self._database.transaction() as session:
            sequence = await session.scalar(begun)
            known = RetrainingRow.sequence == sequence
            if sequence is None:
                known = (RetrainingRow.project == deployment.project) & (RetrainingRow.request_id == request_id)
            row = (await session.scalars(select(RetrainingRow).where(known))).one()
            return Retraining.model_validate(row)

    async def get(self, name: RetrainingName) -> Retraining:
        """Finds a retraining.

        Raises:
            NotFoundError: if there is none of that name.
        """
        async with self._database.transaction() as session:
            row = await session.get(RetrainingRow, int(name.retraining)) if name.retraining.isdecimal() else None
            if row is None or RetrainingName(row.project, str(row.sequence)) != name:
                raise NotFoundError(str(name))
            return Retraining.model_validate(row)

    async def page(self, project: str, request: PageRequest) -> tuple[Sequence[Retraining], str]:
        """A page of a project's retrainings, newest first, and the token of the next page."""
        query = select(RetrainingRow).where(RetrainingRow.project == project)
        if request.after is not None:
            query = query.where(RetrainingRow.sequence < request.after_number)
        query = query.order_by(RetrainingRow.sequence.desc()).limit(request.size + 1)
        async with self._database.transaction() as session:
            found = [Retraining.model_validate(row) for row in await session.scalars(query)]
        return page_of(found, request, lambda retraining: retraining.sequence)

    async def open_ones(self) -> Sequence[tuple[Retraining, uuid.UUID]]:
        """Those that have not come to an end, the oldest first, with the ids of what they ask for."""
        query = select(RetrainingRow).where(_OPEN).order_by(RetrainingRow.sequence)
        async with self._database.transaction() as session:
            return [(Retraining.model_validate(row), row.request_id) for row in await session.scalars(query)]

    async def advance(self, retraining: Retraining, state: RetrainingState, **values: object) -> None:
        """Writes what has become of a retraining, unless another replica was quicker."""
        if state.is_final:
            values["end_time"] = utc_now()
        as_it_was = (RetrainingRow.sequence == retraining.sequence) & (RetrainingRow.state == retraining.state)
        async with self._database.transaction() as session:
            await session.execute(update(RetrainingRow).where(as_it_was).values(state=state, **values))

    async def policy(self, deployment: DeploymentName) -> tuple[RetrainingPolicy, int]:
        """When a deployment's model is trained anew, and how many corrections its latest corrected model has by now."""
        counted = (
            select(CorrectionsRow.count)
            .where(CorrectionsRow.deployment == str(deployment))
            .order_by(CorrectionsRow.update_time.desc())
            .limit(1)
        )
        async with self._database.transaction() as session:
            row = await session.get(RetrainingPolicyRow, str(deployment))
            corrections: int = await session.scalar(counted) or 0
        return RetrainingPolicy.model_validate(row) if row is not None else RetrainingPolicy(), corrections

    async def set_policy(self, deployment: DeploymentName, policy: RetrainingPolicy) -> None:
        """Says when a deployment's model is trained anew."""
        values = policy.model_dump()
        new = insert(RetrainingPolicyRow).values(deployment=str(deployment), **values)
        async with self._database.transaction() as session:
            await session.execute(new.on_conflict_do_update(index_elements=["deployment"], set_=values))


async def on_review_item_settled(session: AsyncSession, event: Event) -> None:
    """Counts a correction; with enough of them, and none under way, a retraining begins."""
    settled = event.review_item_settled
    if not settled.corrected or not settled.deployment:
        return
    count = await _count(session, settled.deployment, settled.model)
    policy = await session.get(RetrainingPolicyRow, settled.deployment)
    if policy is None or not 0 < policy.min_corrections <= count:
        return
    under_way = select(RetrainingRow.sequence).where(RetrainingRow.deployment == settled.deployment, _OPEN).limit(1)
    if await session.scalar(under_way) is not None:
        return
    session.add(
        RetrainingRow(
            project=DeploymentName.parse(settled.deployment).project,
            deployment=settled.deployment,
            baseline=settled.model,
            effort=policy.effort,
            only_if_better=True,
            canary_share=policy.canary_share,
            corrections=count,
        )
    )
    counted = (CorrectionsRow.deployment == settled.deployment) & (CorrectionsRow.model == settled.model)
    await session.execute(update(CorrectionsRow).where(counted).values(count=0))


async def _count(session: AsyncSession, deployment: str, model: str) -> int:
    """Counts one more; whoever counts the next one waits for the end of the transaction."""
    first = insert(CorrectionsRow).values(deployment=deployment, model=model, count=1, update_time=utc_now())
    more = {"count": CorrectionsRow.count + 1, "update_time": func.now()}
    counted = first.on_conflict_do_update(index_elements=["deployment", "model"], set_=more)
    return int(await session.scalar(counted.returning(CorrectionsRow.count)) or 0)
