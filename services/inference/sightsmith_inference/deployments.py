"""Deployments: names under which models answer. What users want is written here, and what has become of it."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql import Select

from sightsmith.api.events.v1.event_pb2 import DeploymentServing
from sightsmith.database import Database, utc_now
from sightsmith.errors import AlreadyExistsError, NotFoundError, SightsmithError
from sightsmith.events.outbox import tell
from sightsmith.names import DeploymentName, ModelName, ProjectName
from sightsmith.paging import PageRequest
from sightsmith_inference.models import RuntimeWish, ServableModel, runtime_wish, servable_of
from sightsmith_inference.sampling import OFF, SamplingPolicy
from sightsmith_inference.tables import DeploymentRow, ModelRow, OutboxRow, TritonModelRow


class DeploymentState(StrEnum):
    """Where a deployment stands; the protos say what may follow."""

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    UPDATING = "UPDATING"
    FAILED = "FAILED"


ANSWERING = frozenset({DeploymentState.RUNNING, DeploymentState.UPDATING})


@dataclass(frozen=True)
class DeploymentError:
    """Why the last start or update failed.

    Attributes:
        code: a `google.rpc.Code`.
        reason: one of the reasons in the protos.
        message: for people.
    """

    code: int
    reason: str
    message: str


@dataclass(frozen=True)
class Deployment:
    """A deployment.

    Attributes:
        id: key of the row; another one when a deployment of the same name is made anew.
        generation: counts the wishes of users.
        model: the model that is wanted.
        runtime: what is wanted to run it, or that it is what the model recommends.
        state: where it stands.
        last_served: what answers. While STARTING: what answered until the inference server lost it.
        sampling: which predictions are kept for review.
        error: why the last start or update failed.
        create_time: when it was created.
        update_time: when its state last changed.
    """

    id: uuid.UUID
    generation: int
    name: DeploymentName
    model: str
    runtime: RuntimeWish
    state: DeploymentState
    last_served: ServableModel | None
    sampling: SamplingPolicy
    error: DeploymentError | None
    create_time: datetime
    update_time: datetime

    @property
    def serving(self) -> ServableModel | None:
        """What answers now."""
        return self.last_served if self.state in ANSWERING else None

    @property
    def is_coming_back(self) -> bool:
        """Whether it answered, and is being started because the inference server lost its model."""
        return self.state is DeploymentState.STARTING and self.last_served is not None

    @property
    def goal(self) -> tuple[str, RuntimeWish]:
        """The model that is to be made ready, and what is to run it: the lost one, or else the one that is wanted."""
        if self.is_coming_back and self.last_served is not None:
            return self.last_served.model, self.last_served.runtime
        return self.model, self.runtime


class Deployments:
    """The deployments of all projects."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self, name: DeploymentName, model: ModelName, runtime: RuntimeWish, sampling: SamplingPolicy = OFF
    ) -> Deployment:
        """Creates a deployment that is to be started.

        Raises:
            AlreadyExistsError: if there is one of that name.
        """
        row = DeploymentRow(
            project=name.project,
            deployment_id=name.deployment,
            model=str(model),
            runtime=runtime,
            state=DeploymentState.STARTING,
            sampled_share=sampling.share,
            sampled_below_confidence=sampling.below_confidence,
        )
        try:
            async with self._database.transaction() as session:
                session.add(row)
        except IntegrityError as error:
            raise AlreadyExistsError(f"{name} is already there", metadata={"name": str(name)}) from error
        return _deployment_of(row, None, None)

    async def get(self, name: DeploymentName) -> Deployment:
        """Returns a deployment.

        Raises:
            NotFoundError: if there is none of that name.
        """
        async with self._database.transaction() as session:
            return await _get(session, name)

    async def list(self, project: ProjectName, page: PageRequest) -> Sequence[Deployment]:
        """The deployments of a project by id: one more than the page holds, if there are more."""
        query = (
            _select()
            .where(DeploymentRow.project == project.project)
            .where(DeploymentRow.deployment_id > (page.after or ""))
            .order_by(DeploymentRow.deployment_id)
            .limit(page.size + 1)
        )
        return await self._fetch(query)

    async def all(self) -> Sequence[Deployment]:
        """Every deployment of every project."""
        return await self._fetch(_select())

    async def update(
        self,
        name: DeploymentName,
        model: ModelName | None,
        runtime: RuntimeWish | None,
        sampling: SamplingPolicy | None = None,
    ) -> Deployment:
        """Wishes for another model, runtime or sampling; None leaves one as it is. What answers goes on meanwhile.

        Raises:
            NotFoundError: if there is none of that name.
        """
        async with self._database.transaction() as session:
            row = await session.scalar(select(DeploymentRow).where(_is_named(name)).with_for_update())
            if row is None:
                raise NotFoundError(str(name))
            if sampling is not None:
                row.sampled_share, row.sampled_below_confidence = sampling.share, sampling.below_confidence
            if model or runtime or sampling is None:
                _wish_for(row, model, runtime)
            await session.flush()
            return await _get(session, name)

    async def delete(self, name: DeploymentName) -> None:
        """Forgets a deployment.

        Raises:
            NotFoundError: if there is none of that name.
        """
        forget = delete(DeploymentRow).where(_is_named(name)).returning(DeploymentRow.id)
        async with self._database.transaction() as session:
            if await session.scalar(forget) is None:
                raise NotFoundError(str(name))

    async def succeed(self, deployment: Deployment, servable: ServableModel) -> bool:
        """Lets a model answer from now on, and tells the other services if it did not before.

        Returns:
            Whether the deployment still was as it was read; if not, nothing is changed. The same goes for `fail` and
            `lose`.
        """
        values: dict[str, object] = {
            "state": DeploymentState.RUNNING,
            "serving_triton_model": servable.triton_model,
        }
        if not deployment.is_coming_back:
            # A model that comes back by itself does not undo what is known of a failed update.
            values |= _error_values(None)
        fact = DeploymentServing(deployment=str(deployment.name), model=servable.model)
        async with self._database.transaction() as session:
            written = await _write(session, deployment, values)
            if written and (deployment.last_served is None or deployment.last_served.model != servable.model):
                tell(session, OutboxRow, fact)
        return written

    async def fail(self, deployment: Deployment, error: SightsmithError) -> bool:
        """Gives up on the model that was to be made ready; the old one, if it answers, goes on."""
        problem = DeploymentError(error.code, error.reason, error.message)
        values: dict[str, object] = {"state": DeploymentState.RUNNING}
        if deployment.state is DeploymentState.STARTING:
            values = {"state": DeploymentState.FAILED, "serving_triton_model": None}
        async with self._database.transaction() as session:
            return await _write(session, deployment, values | _error_values(problem))

    async def lose(self, deployment: Deployment) -> bool:
        """Notes that the inference server no longer has the model that answered."""
        async with self._database.transaction() as session:
            return await _write(session, deployment, {"state": DeploymentState.STARTING})

    async def _fetch(self, query: Select[DeploymentRow, TritonModelRow, ModelRow]) -> Sequence[Deployment]:
        async with self._database.transaction() as session:
            return [_deployment_of(*row) for row in await session.execute(query)]


def _wish_for(row: DeploymentRow, model: ModelName | None, runtime: RuntimeWish | None) -> None:
    answers = DeploymentState(row.state) in ANSWERING
    row.state = DeploymentState.UPDATING if answers else DeploymentState.STARTING
    row.serving_triton_model = row.serving_triton_model if answers else None
    row.model = str(model) if model else row.model
    row.runtime = runtime or row.runtime
    row.generation += 1
    row.error_code = row.error_reason = row.error_message = None
    row.update_time = utc_now()


async def _write(session: AsyncSession, deployment: Deployment, values: dict[str, object]) -> bool:
    """Changes a deployment if it still is as it was read; returns whether.

    It is not when a user has wished for something else meanwhile, or when another replica was quicker.
    """
    change = (
        update(DeploymentRow)
        .where(
            DeploymentRow.id == deployment.id,
            DeploymentRow.generation == deployment.generation,
            DeploymentRow.state == deployment.state,
        )
        .values(update_time=utc_now(), **values)
        .returning(DeploymentRow.id)
    )
    return await session.scalar(change) is not None


async def _get(session: AsyncSession, name: DeploymentName) -> Deployment:
    row = (await session.execute(_select().where(_is_named(name)))).one_or_none()
    if row is None:
        raise NotFoundError(str(name))
    return _deployment_of(*row)


def _select() -> Select[DeploymentRow, TritonModelRow, ModelRow]:
    return (
        select(DeploymentRow, TritonModelRow, ModelRow)
        .outerjoin(TritonModelRow, DeploymentRow.serving_triton_model == TritonModelRow.name)
        .outerjoin(ModelRow, TritonModelRow.model == ModelRow.name)
    )


def _is_named(name: DeploymentName) -> ColumnElement[bool]:
    return (DeploymentRow.project == name.project) & (DeploymentRow.deployment_id == name.deployment)


def _error_values(error: DeploymentError | None) -> dict[str, object]:
    return {
        "error_code": error and error.code,
        "error_reason": error and error.reason,
        "error_message": error and error.message,
    }


def _deployment_of(row: DeploymentRow, triton_model: TritonModelRow | None, model: ModelRow | None) -> Deployment:
    return Deployment(
        id=row.id,
        generation=row.generation,
        name=DeploymentName(row.project, row.deployment_id),
        model=row.model,
        runtime=runtime_wish(row.runtime),
        state=DeploymentState(row.state),
        last_served=servable_of(triton_model, model) if triton_model and model else None,
        sampling=SamplingPolicy(row.sampled_share, row.sampled_below_confidence),
        error=_error_of(row),
        create_time=row.create_time,
        update_time=row.update_time,
    )


def _error_of(row: DeploymentRow) -> DeploymentError | None:
    if row.error_code is None:
        return None
    return DeploymentError(row.error_code, row.error_reason or "", row.error_message or "")
