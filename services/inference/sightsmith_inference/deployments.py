"""Deployments: names under which models answer. What users want is written here, and what has become of it."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from sqlalchemy import delete, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.api.events.v1.event_pb2 import DeploymentServing
from sightsmith.database import Database, utc_now
from sightsmith.errors import AlreadyExistsError, FailedPreconditionError, NotFoundError, SightsmithError
from sightsmith.events.outbox import tell
from sightsmith.names import DeploymentName, ModelName, ProjectName
from sightsmith.paging import PageRequest
from sightsmith_inference import stored_deployments as stored
from sightsmith_inference.deployment import ANSWERING, HALTED, Deployment, DeploymentError, DeploymentState
from sightsmith_inference.models import RuntimeWish, ServableModel
from sightsmith_inference.releases import LIVE, Release, ShadowFigures, Target, targets_of
from sightsmith_inference.replicas import ONE_REPLICA, ReplicaRange
from sightsmith_inference.sampling_policy import OFF, SamplingPolicy
from sightsmith_inference.stored_releases import add_release, count_shadows, put_into_service, take_out_of_service
from sightsmith_inference.tables import DeploymentRow, OutboxRow, ReleaseRow


class Deployments:
    """The deployments of all projects."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        name: DeploymentName,
        model: ModelName,
        runtime: RuntimeWish,
        sampling: SamplingPolicy = OFF,
        aliases: Sequence[Target] = (),
        replicas: ReplicaRange = ONE_REPLICA,
        *,
        is_tuned: bool = False,
    ) -> Deployment:
        """Creates a deployment that is to be started.

        Args:
            name: of the deployment.
            model: its own model, which has the traffic that no other alias takes.
            runtime: what is to run that.
            sampling: which predictions are kept for review.
            aliases: the model versions beside it.
            replicas: how many replicas are wanted.
            is_tuned: whether its models are to be set up as is measured to be fastest.

        Raises:
            AlreadyExistsError: if there is one of that name.
        """
        row = DeploymentRow(
            id=uuid.uuid4(),
            project=name.project,
            deployment_id=name.deployment,
            state=DeploymentState.STARTING,
            sampling=asdict(sampling),
            replicas=replicas.min,
            is_tuned=is_tuned,
        )
        _set_range(row, replicas)
        try:
            async with self._database.transaction() as session:
                session.add(row)
                await session.flush()
                await add_release(session, row.id, targets_of(str(model), runtime, aliases))
                return await stored.get(session, name)
        except IntegrityError as error:
            raise AlreadyExistsError(f"{name} is already there", metadata={"name": str(name)}) from error

    async def get(self, name: DeploymentName) -> Deployment:
        """Returns a deployment with its history.

        Raises:
            NotFoundError: if there is none of that name.
        """
        async with self._database.transaction() as session:
            return await stored.get(session, name)

    async def list(self, project: ProjectName, page: PageRequest) -> Sequence[Deployment]:
        """The deployments of a project by id, with their history: one more than the page holds, if there are more."""
        listed = (
            select(DeploymentRow.id)
            .where(DeploymentRow.project == project.project)
            .where(DeploymentRow.deployment_id > (page.after or ""))
            .order_by(DeploymentRow.deployment_id)
            .limit(page.size + 1)
        )
        async with self._database.transaction() as session:
            return await stored.fetch(session, DeploymentRow.id.in_(listed))

    async def all(self) -> Sequence[Deployment]:
        """Every deployment of every project, without history."""
        current = or_(
            ReleaseRow.number == DeploymentRow.wanted_release, ReleaseRow.number == DeploymentRow.serving_release
        )
        async with self._database.transaction() as session:
            return await stored.fetch(session, current)

    async def update(
        self,
        name: DeploymentName,
        model: ModelName | None,
        runtime: RuntimeWish | None,
        sampling: SamplingPolicy | None = None,
        aliases: Sequence[Target] | None = None,
        replicas: ReplicaRange | None = None,
        *,
        is_tuned: bool | None = None,
    ) -> Deployment:
        """Wishes for another model, runtime, sampling, other aliases, replicas or set-ups; None leaves one as it is.

        What answers goes on meanwhile, and what is new takes over as a whole.

        Raises:
            NotFoundError: if there is none of that name.
        """
        async with self._database.transaction() as session:
            row = await stored.locked(session, name)
            if sampling is not None:
                row.sampling = asdict(sampling)
            if replicas is not None:
                _set_range(row, replicas)
            if is_tuned is not None:
                row.is_tuned = is_tuned
            row.revision += 1
            is_about_models = model or runtime or aliases is not None
            if is_about_models or (sampling is None and replicas is None and is_tuned is None):
                now = (await stored.get(session, name)).wanted
                others = now.others if aliases is None else aliases
                wish = targets_of(str(model or now.live.model), runtime or now.live.runtime, others)
                await _wish_for(session, row, wish)
            if model:
                # Whatever was proposed was proposed in place of another one.
                row.proposal = None
            await session.flush()
            return await stored.get(session, name)

    async def roll_back(self, name: DeploymentName, number: int = 0) -> Deployment:
        """Wishes for what a release had that answered before.

        Args:
            name: of the deployment.
            number: of the release; 0 for the one that answered before the present one.

        Raises:
            NotFoundError: if there is no such deployment, or no such release of it that ever answered.
            FailedPreconditionError: if nothing answered before, or a model version of it has been deleted since.
        """
        async with self._database.transaction() as session:
            row = await stored.locked(session, name)
            history = (await stored.get(session, name)).history
            if not history and not number:
                raise FailedPreconditionError(f"{name} has not served anything else: there is nothing to go back to")
            chosen = next((release for release in history if number in (0, release.number)), None)
            if chosen is None:
                raise NotFoundError(f"release {number} of {name}")
            _require_models(chosen, name)
            await _wish_for(session, row, chosen.targets)
            await session.flush()
            return await stored.get(session, name)

    async def stop(self, name: DeploymentName) -> Deployment:
        """Takes a deployment out of service and keeps everything else of it. An update under way is dropped.

        Raises:
            NotFoundError: if there is none of that name.
        """
        async with self._database.transaction() as session:
            row = await stored.locked(session, name)
            if DeploymentState(row.state) not in HALTED:
                row.wanted_release = row.serving_release or row.wanted_release
                _change_state(row, DeploymentState.STOPPING)
            await session.flush()
            return await stored.get(session, name)

    async def start(self, name: DeploymentName) -> Deployment:
        """Puts a deployment back into service that was stopped, failed or is idle; does nothing to any other.

        Raises:
            NotFoundError: if there is none of that name.
        """
        async with self._database.transaction() as session:
            row = await stored.locked(session, name)
            if DeploymentState(row.state) in HALTED | {DeploymentState.FAILED, DeploymentState.IDLE}:
                _change_state(row, DeploymentState.STARTING)
                row.error_code = row.error_reason = row.error_message = None
            await session.flush()
            return await stored.get(session, name)

    async def delete(self, name: DeploymentName) -> None:
        """Forgets a deployment.

        Raises:
            NotFoundError: if there is none of that name.
        """
        forget = delete(DeploymentRow).where(stored.is_named(name)).returning(DeploymentRow.id)
        async with self._database.transaction() as session:
            if await session.scalar(forget) is None:
                raise NotFoundError(str(name))

    async def succeed(self, deployment: Deployment, servables: Mapping[str, ServableModel]) -> bool:
        """Lets models answer from now on, all at once, and tells the other services if the live one is another.

        Args:
            deployment: as it was read.
            servables: what runs each alias of its goal.

        Returns:
            Whether the deployment still was as it was read; if not, nothing is changed. The same goes for `fail`,
            `lose`, `idle` and `finish_stopping`.
        """
        values: dict[str, object] = {
            "state": DeploymentState.RUNNING,
            "serving_release": deployment.goal.number,
        }
        if not deployment.is_coming_back:
            # A model that comes back by itself does not undo what is known of a failed update.
            values |= _error_values(None)
        fact = DeploymentServing(deployment=str(deployment.name), model=servables[LIVE].model)
        async with self._database.transaction() as session:
            written = await _write(session, deployment, values)
            if written:
                await put_into_service(session, deployment.id, deployment.goal.number, servables)
            if written and (deployment.served is None or deployment.served.live.model != fact.model):
                tell(session, OutboxRow, fact)
        return written

    async def fail(self, deployment: Deployment, error: SightsmithError) -> bool:
        """Gives up on what was to be made ready; what answers, if anything does, goes on, and is what is wanted again.

        A wish that failed must not come back with the next one, which may say nothing of what was wrong with it.
        """
        problem = DeploymentError(error.code, error.reason, error.message)
        is_over = deployment.state is DeploymentState.STARTING
        values: dict[str, object] = {
            "state": DeploymentState.RUNNING,
            "wanted_release": DeploymentRow.serving_release,
        }
        if is_over:
            values = {"state": DeploymentState.FAILED, "serving_release": None}
        async with self._database.transaction() as session:
            written = await _write(session, deployment, values | _error_values(problem))
            if written and is_over:
                await take_out_of_service(session, deployment.id)
        return written

    async def lose(self, deployment: Deployment) -> bool:
        """Notes that the inference server no longer has a model that answered."""
        async with self._database.transaction() as session:
            return await _write(session, deployment, {"state": DeploymentState.STARTING})

    async def idle(self, deployment: Deployment) -> bool:
        """Notes that nobody asks for a deployment, so that nothing of it need be loaded."""
        values: dict[str, object] = {"state": DeploymentState.IDLE, "replicas": DeploymentRow.min_replicas}
        async with self._database.transaction() as session:
            return await _write(session, deployment, values)

    async def finish_stopping(self, deployment: Deployment) -> bool:
        """Notes that the inference server holds nothing any more for a deployment that was to stop."""
        async with self._database.transaction() as session:
            return await _write(session, deployment, {"state": DeploymentState.STOPPED})

    async def scale(self, deployment: Deployment, replicas: int, reason: str) -> bool:
        """Wishes for so many replicas, unless a user has changed anything since the deployment was read."""
        values = {"replicas": replicas, "replicas_reason": reason, "replicas_time": utc_now()}
        return await self._note(deployment, {**values, "revision": DeploymentRow.revision + 1})

    async def note_ready(self, deployment: Deployment, replicas: int) -> None:
        """Notes how many replicas answer."""
        await self._note(deployment, {"ready_replicas": replicas, "revision": DeploymentRow.revision + 1})

    async def note_use(self, deployment: Deployment) -> None:
        """Notes that a deployment is used now; this is no change that anybody watches for."""
        await self._note(deployment, {"last_use_time": utc_now()})

    async def _note(self, deployment: Deployment, values: dict[str, object]) -> bool:
        in_range = (DeploymentRow.min_replicas == deployment.replicas.min) & (
            DeploymentRow.max_replicas == deployment.replicas.max
        )
        unchanged = (DeploymentRow.id == deployment.id) & (DeploymentRow.generation == deployment.generation)
        change = update(DeploymentRow).where(unchanged, in_range).values(**values).returning(DeploymentRow.id)
        async with self._database.transaction() as session:
            return await session.scalar(change) is not None

    async def count_shadows(self, figures: Mapping[tuple[uuid.UUID, int, str], ShadowFigures]) -> None:
        """Adds to the figures of shadows, by id of the deployment, number of the release and alias."""
        async with self._database.transaction() as session:
            await count_shadows(session, figures)


async def _wish_for(session: AsyncSession, row: DeploymentRow, targets: Sequence[Target]) -> None:
    state = DeploymentState(row.state)
    row.wanted_release = await add_release(session, row.id, targets)
    # What is idle is loaded for the time of the update.
    if state in ANSWERING | {DeploymentState.IDLE}:
        _change_state(row, DeploymentState.UPDATING)
    else:
        row.serving_release = None
        await take_out_of_service(session, row.id)
        _change_state(row, state if state in HALTED else DeploymentState.STARTING)
    row.error_code = row.error_reason = row.error_message = None


def _require_models(release: Release, name: DeploymentName) -> None:
    """Refuses a release that cannot be gone back to.

    Raises:
        FailedPreconditionError: naming the model versions that have been deleted since.
    """
    gone = ", ".join(dict.fromkeys(target.model for target in release.targets if not target.is_staged))
    if gone:
        raise FailedPreconditionError(
            f"release {release.number} of {name} cannot come back, for it needs what has been deleted since: {gone}",
            reason="NOT_FOUND",
            metadata={"name": gone},
        )


def _set_range(row: DeploymentRow, replicas: ReplicaRange) -> None:
    row.min_replicas, row.max_replicas, row.idle_seconds = replicas.min, replicas.max, replicas.idle_seconds
    if row.replicas != replicas.nearest(row.replicas):
        row.replicas = replicas.nearest(row.replicas)
        row.replicas_reason = f"{replicas.min} to {replicas.max} are wanted"
        row.replicas_time = utc_now()


def _change_state(row: DeploymentRow, state: DeploymentState) -> None:
    row.state = state
    row.generation += 1
    row.revision += 1
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
        .values(update_time=utc_now(), revision=DeploymentRow.revision + 1, **values)
        .returning(DeploymentRow.id)
    )
    return await session.scalar(change) is not None


def _error_values(error: DeploymentError | None) -> dict[str, object]:
    return {
        "error_code": error and error.code,
        "error_reason": error and error.reason,
        "error_message": error and error.message,
    }
