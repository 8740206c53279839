"""Makes what users wish for true: one replica at a time compares deployments with what Triton has loaded."""

import asyncio
import uuid
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from sightsmith.errors import DeadlineExceededError, NotFoundError, SightsmithError, UnavailableError
from sightsmith.logs import get_logger
from sightsmith_inference.check import check
from sightsmith_inference.deployment import Deployment, DeploymentState
from sightsmith_inference.deployments import Deployments
from sightsmith_inference.errors import ModelNotServableError
from sightsmith_inference.image_check import ImageCheck
from sightsmith_inference.lease import Lease
from sightsmith_inference.models import Runtime, ServableModel, suitable
from sightsmith_inference.placements import Loaded, Placements
from sightsmith_inference.releases import LIVE, Target
from sightsmith_inference.retries import Retries
from sightsmith_inference.routes import Routes
from sightsmith_inference.scaler import Scaler
from sightsmith_inference.settings import InferenceSettings
from sightsmith_inference.staging import Staging
from sightsmith_inference.tritons import Tritons

_AT_WORK = frozenset({DeploymentState.STARTING, DeploymentState.UPDATING})
_log = get_logger(__name__)


@dataclass(frozen=True)
class _Work:
    """Making a deployment's model ready, for one wish of its users."""

    generation: int
    task: asyncio.Task[None]


class Reconciler:
    """Looks every second, and whenever it is woken; whatever went wrong is put right the next time.

    Nothing of importance is kept in memory: a new process, or another replica, goes on where the last one stopped.
    """

    def __init__(
        self,
        settings: InferenceSettings,
        lease: Lease,
        deployments: Deployments,
        staging: Staging,
        tritons: Tritons,
        placements: Placements,
        scaler: Scaler,
        image_check: ImageCheck,
        routes: Routes,
    ) -> None:
        self._settings = settings
        self._lease = lease
        self._deployments = deployments
        self._staging = staging
        self._tritons = tritons
        self._placements = placements
        self._scaler = scaler
        self._image_check = image_check
        self._routes = routes
        self._woken = asyncio.Event()
        self._work: dict[uuid.UUID, _Work] = {}
        self._retries = Retries()

    def wake(self) -> None:
        """Makes it look now rather than in a second."""
        self._woken.set()

    async def run(self) -> None:
        """Works until cancelled."""
        try:
            while True:
                await self._look()
                await self._rest()
        finally:
            await self._stop_work()
            await self._lease.give_back()

    async def _rest(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.reconcile_seconds):
                await self._woken.wait()
        self._woken.clear()

    async def _look(self) -> None:
        try:
            if not await self._lease.hold():
                await self._stop_work()
                return
            deployments = await self._deployments.all()
            self._drop_outdated_work(deployments)
            loaded = await self._tritons.look()
            deployments = await self._without_lost(deployments, loaded)
            for deployment in deployments:
                self._begin_work(deployment)
            await self._finish_stopping(deployments, loaded)
            self._placements.spread(deployments, loaded)
            await self._placements.unload_unwanted(deployments, loaded)
            if await self._scaler.look(deployments, loaded):
                await self._routes.refresh()
        except SightsmithError as error:
            _log.warning("deployments are not looked after", error=error.message)

    async def _without_lost(self, deployments: Sequence[Deployment], loaded: Loaded) -> Sequence[Deployment]:
        """The deployments, those read anew of which no Triton has the model any more."""
        anywhere = frozenset().union(*loaded.values())
        lost = [
            deployment
            for deployment in deployments
            if deployment.state is DeploymentState.RUNNING and deployment.triton_models - anywhere
        ]
        if not lost:
            return deployments
        for deployment in lost:
            _log.warning("Triton lost the model of a deployment", deployment=str(deployment.name))
            await self._deployments.lose(deployment)
        await self._routes.refresh()
        return await self._deployments.all()

    def _begin_work(self, deployment: Deployment) -> None:
        key = str(deployment.id)
        if deployment.state not in _AT_WORK:
            self._retries.forget(key)
        elif deployment.id not in self._work and self._retries.is_due(key):
            task = asyncio.create_task(self._make_ready(deployment))
            self._work[deployment.id] = _Work(deployment.generation, task)
            task.add_done_callback(lambda _: self._end_work(deployment.id, task))

    def _end_work(self, deployment: uuid.UUID, task: asyncio.Task[None]) -> None:
        if deployment in self._work and self._work[deployment].task is task:
            del self._work[deployment]

    def _drop_outdated_work(self, deployments: Sequence[Deployment]) -> None:
        wanted = {deployment.id: deployment.generation for deployment in deployments}
        for key, work in tuple(self._work.items()):
            if wanted.get(key) != work.generation:
                work.task.cancel()
                del self._work[key]
                self._retries.forget(str(key))

    async def _stop_work(self) -> None:
        tasks = [work.task for work in self._work.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._work.clear()
        await self._placements.stop()
        self._scaler.stop()

    async def _make_ready(self, deployment: Deployment) -> None:
        log = _log.bind(deployment=str(deployment.name))
        try:
            await self._keep_old(deployment)
            if await self._put_into_service(deployment):
                log.info("deployment is running", model=deployment.goal.live.model)
        except (ModelNotServableError, NotFoundError) as error:
            log.warning("model cannot be served", model=deployment.goal.live.model, error=error.message)
            await self._give_up(deployment, error)
        except (UnavailableError, DeadlineExceededError) as error:
            seconds = self._retries.postpone(str(deployment.id))
            log.warning("model is not ready yet, trying again", seconds=seconds, error=error.message)
        except Exception:
            seconds = self._retries.postpone(str(deployment.id))
            log.exception("unexpected error, trying again", seconds=seconds)
        await self._routes.refresh()

    async def _put_into_service(self, deployment: Deployment) -> bool:
        """Makes everything ready that is to answer together; only then does any of it answer."""
        with ExitStack() as claims:
            servables = {}
            for target in deployment.goal.targets:
                servables[target.alias] = await self._make_target_ready(deployment, target, claims)
            return await self._deployments.succeed(deployment, servables)

    async def _make_target_ready(self, deployment: Deployment, target: Target, claims: ExitStack) -> ServableModel:
        try:
            return await self._first_servable(deployment, target, claims)
        except (ModelNotServableError, NotFoundError) as error:
            if target.alias != LIVE:
                error.message = f"alias {target.alias}: {error.message}"
            raise

    async def _first_servable(self, deployment: Deployment, target: Target, claims: ExitStack) -> ServableModel:
        wish = target.servable.runtime if target.servable else target.runtime
        servables = suitable(await self._staging.stage(target.model), wish, self._settings.triton_processor)
        if not servables:
            wanted = wish if isinstance(wish, Runtime) else Runtime.ONNX
            why = await self._staging.why_not_exported(target.model, wanted)
            raise ModelNotServableError(f"{target.model} was not exported for {wanted}: {why}")
        *recommended, last = servables
        for servable in recommended:
            try:
                return await self._make_servable_ready(deployment, target, servable, claims)
            except ModelNotServableError as error:
                _log.warning("what a model recommends cannot be served", model=target.model, error=error.message)
        return await self._make_servable_ready(deployment, target, last, claims)

    async def _make_servable_ready(
        self, deployment: Deployment, target: Target, servable: ServableModel, claims: ExitStack
    ) -> ServableModel:
        claims.enter_context(self._placements.claimed(servable.triton_model))
        need = self._placements.need_of(deployment, target, servable)
        servers = await self._placements.load(need)
        for server in servers:
            await check(self._tritons[server], servable, self._settings.triton_timeout_seconds)
        if servable.triton_model not in deployment.triton_models:
            # What serves, or comes back, was checked before: it is not to wait for services that may be away.
            await self._image_check.check(servable, self._settings.triton_timeout_seconds)
        if deployment.is_tuned and servable.profile is None and not await self._is_used(servable):
            return await self._placements.tune(need, servers)
        return servable

    async def _is_used(self, servable: ServableModel) -> bool:
        """Whether a model answers already, or comes back: then nobody is to wait for measurements."""
        return servable.triton_model in _used(await self._deployments.all())

    async def _keep_old(self, deployment: Deployment) -> None:
        """Loads what answers during an update once more, where Triton has lost it meanwhile."""
        for target in deployment.serving.targets if deployment.serving else ():
            try:
                if target.servable is not None:
                    await self._placements.load(self._placements.need_of(deployment, target, target.servable))
            except ModelNotServableError as error:
                _log.warning("the old model is gone", deployment=str(deployment.name), error=error.message)

    async def _finish_stopping(self, deployments: Sequence[Deployment], loaded: Loaded) -> None:
        """Lets deployments be stopped once Triton holds nothing any more that only they used."""
        held = frozenset().union(*loaded.values()) - _used(deployments)
        for deployment in deployments:
            servables = deployment.served.servables if deployment.served else ()
            if deployment.state is DeploymentState.STOPPING and not held & {model.triton_model for model in servables}:
                await self._deployments.finish_stopping(deployment)
                await self._routes.refresh()

    async def _give_up(self, deployment: Deployment, error: SightsmithError) -> None:
        try:
            await self._deployments.fail(deployment, error)
        except UnavailableError:
            self._retries.postpone(str(deployment.id))


def _used(deployments: Sequence[Deployment]) -> frozenset[str]:
    return frozenset().union(*(deployment.triton_models for deployment in deployments))
