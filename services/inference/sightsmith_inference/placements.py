"""Has the Triton servers hold what deployments need, where and as often as they need it, and nothing else for long."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from sightsmith.errors import DeadlineExceededError, SightsmithError, UnavailableError
from sightsmith.logs import get_logger
from sightsmith_inference.check import check
from sightsmith_inference.deployment import Deployment
from sightsmith_inference.deployments import Deployments
from sightsmith_inference.errors import ModelNotServableError, dependency_unavailable
from sightsmith_inference.keyed_locks import KeyedLocks
from sightsmith_inference.models import Models, ServableModel
from sightsmith_inference.placing import Need, need_of, needs_of, place
from sightsmith_inference.profiler import Profiler
from sightsmith_inference.releases import Target
from sightsmith_inference.retries import Retries
from sightsmith_inference.routes import Routes
from sightsmith_inference.settings import InferenceSettings
from sightsmith_inference.setups import Setup, configured, plain_setup, setup_of
from sightsmith_inference.triton_repository import TritonRepository
from sightsmith_inference.tritons import Tritons

Loaded = Mapping[str, Collection[str]]
"""The models that are ready in each server that can be reached."""
_Spot = tuple[str, str]
"""A server, and a model in it."""

_log = get_logger(__name__)


class Placements:
    """Models in servers. One replica of the service works with it at a time."""

    def __init__(
        self,
        settings: InferenceSettings,
        deployments: Deployments,
        models: Models,
        repository: TritonRepository,
        tritons: Tritons,
        routes: Routes,
    ) -> None:
        self._settings = settings
        self._deployments = deployments
        self._models = models
        self._repository = repository
        self._tritons = tritons
        self._routes = routes
        self._plain = plain_setup(settings.triton_processor)
        self._profiler = Profiler(
            settings.triton_processor,
            settings.triton_cores,
            settings.profile_seconds,
            settings.model_load_timeout_seconds,
        )
        # Loading and unloading of one model exclude each other.
        self._locks = KeyedLocks()
        # Models that are being made ready are not unloaded, although no deployment serves them yet.
        self._claims: Counter[str] = Counter()
        self._unwanted_since: dict[_Spot, float] = {}
        self._setups: dict[_Spot, Setup] = {}
        # Servers that could not load a model, as for want of memory: others do meanwhile.
        self._refusals = Retries()
        self._work: dict[_Spot, asyncio.Task[None]] = {}

    @contextmanager
    def claimed(self, model: str) -> Iterator[None]:
        """Keeps a model from being unloaded until the block ends."""
        self._claims[model] += 1
        try:
            yield
        finally:
            self._claims[model] -= 1

    def need_of(self, deployment: Deployment, target: Target, model: ServableModel) -> Need:
        """How a deployment needs a model for one of its aliases."""
        return need_of(deployment, target, model, self._plain)

    async def load(self, need: Need) -> Sequence[str]:
        """Loads a model where it is to stand and does not yet; servers that cannot are gone round.

        Returns:
            The servers that have it now: at least one.

        Raises:
            ModelNotServableError: if no server can load it; says what Triton said.
            UnavailableError: if servers cannot be reached, or take too long.
        """
        name = need.model.triton_model
        problems: dict[str, SightsmithError] = {}
        async with self._locks.of(name):
            while servers := [server for server in self._tritons.reachable if server not in problems]:
                placed = place(name, need.replicas, servers)
                setups = [(server, name, need.setup.times(replicas)) for server, replicas in placed.items()]
                outcomes = await asyncio.gather(*(self._try_set_up(*spot, keeping=True) for spot in setups))
                failed = {server: error for server, error in zip(placed, outcomes, strict=True) if error}
                if standing := [server for server in placed if server not in failed]:
                    return standing
                problems |= failed
        passing = [error for error in problems.values() if not isinstance(error, ModelNotServableError)]
        raise next(iter([*passing, *problems.values()]), dependency_unavailable("triton", "no server can be reached"))

    async def tune(self, need: Need, servers: Sequence[str]) -> ServableModel:
        """Measures a model that answers nobody yet, and sets it up as is fastest, in all servers that have it.

        Args:
            need: with the plain set-up.
            servers: which have it.

        Raises:
            SightsmithError: as `Profiler.measure` does; the model is left in some set-up, which is put right later.
        """
        name = need.model.triton_model
        async with self._locks.of(name):
            text = await asyncio.to_thread(self._repository.configuration_text, name)
            profile = await self._profiler.measure(self._tritons[servers[0]], need.model, text)
            await self._models.add_profile(name, profile)
            for server, replicas in place(name, need.replicas, servers).items():
                await self._try_set_up(server, name, profile.best.setup.times(replicas))
        _log.info("model measured", triton_model=name, **vars(profile.best.setup))
        return replace(need.model, profile=profile)

    def spread(self, deployments: Sequence[Deployment], loaded: Loaded) -> None:
        """Begins to change whatever stands otherwise than deployments need it; what answers goes on answering."""
        self._setups = {spot: setup for spot, setup in self._setups.items() if spot[1] in loaded.get(spot[0], ())}
        for name, need in needs_of(deployments, self._plain).items():
            for server, replicas in self._wanted(need, loaded).items():
                spot, setup = (server, name), need.setup.times(replicas)
                is_right = name in loaded[server] and self._setups.get(spot) == setup
                if not is_right and spot not in self._work and self._refusals.is_due(_key(spot)):
                    self._work[spot] = asyncio.create_task(self._change(spot, need, setup))

    async def unload_unwanted(self, deployments: Sequence[Deployment], loaded: Loaded) -> None:
        """Unloads what nobody has needed where it is for a while. Models that are not ours are not touched."""
        ours = await self._models.triton_models()
        unwanted = {
            (server, name)
            for server, names in loaded.items()
            for name in names
            if name in ours and self._is_unwanted(server, name, deployments, loaded)
        }
        now = time.monotonic()
        self._unwanted_since = {spot: self._unwanted_since.get(spot, now) for spot in unwanted}
        for (server, name), since in self._unwanted_since.items():
            lock = self._locks.of(name)
            is_over = now - since >= self._settings.unload_delay_seconds
            if is_over and not lock.locked() and not self._is_last_in_use(name, loaded):
                async with lock:
                    await self._unload(server, name, loaded)

    def ready_replicas(self, deployment: Deployment, loaded: Loaded) -> int:
        """How many replicas of a deployment answer."""
        counts = []
        for target in deployment.serving.targets if deployment.serving else ():
            if target.servable is not None and not target.is_shadow:
                unit = self.need_of(deployment, target, target.servable).setup.instances
                counts.append(sum(max(setup.instances // unit, 1) for setup in self._standing(target.servable, loaded)))
        return min(counts, default=0)

    def _standing(self, model: ServableModel, loaded: Loaded) -> Sequence[Setup]:
        """How a model is set up in each server that has it."""
        name = model.triton_model
        return [self._setups.get((server, name), self._plain) for server in loaded if name in loaded[server]]

    async def stop(self) -> None:
        """Ends what was begun, and forgets what another replica may change."""
        tasks = list(self._work.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Those that were not begun, too.
        self._work.clear()
        self._setups.clear()

    def _wanted(self, need: Need, loaded: Loaded) -> Mapping[str, int]:
        """Replicas by server, as far as servers can be reached and do not refuse the model."""
        name = need.model.triton_model
        able = [server for server in loaded if name in loaded[server] or self._refusals.is_due(_key((server, name)))]
        return place(name, need.replicas, able)

    async def _change(self, spot: _Spot, need: Need, setup: Setup) -> None:
        try:
            async with self._locks.of(spot[1]):
                await self._change_alone(spot, need, setup)
        except Exception:
            seconds = self._refusals.postpone(_key(spot))
            _log.exception("unexpected error, trying again", triton=spot[0], triton_model=spot[1], seconds=seconds)
        finally:
            self._work.pop(spot, None)

    async def _change_alone(self, spot: _Spot, need: Need, setup: Setup) -> None:
        server, name = spot
        is_new = name not in self._tritons.loaded_by(server)
        error = await self._try_set_up(server, name, setup)
        if error is None and is_new:
            error = await self._try_check(server, need)
        if error is None:
            _log.info("model placed", triton_model=name, triton=server, instances=setup.instances)
        else:
            _log.warning("model cannot be placed", triton_model=name, triton=server, error=error.message)

    async def _try_check(self, server: str, need: Need) -> SightsmithError | None:
        """Looks at a model that came to a further server; what is found wrong goes again."""
        try:
            await check(self._tritons[server], need.model, self._settings.triton_timeout_seconds)
        except SightsmithError as error:
            self._refusals.postpone(_key((server, need.model.triton_model)))
            await self._tritons[server].unload(need.model.triton_model)
            return error
        return None

    async def _try_set_up(
        self, server: str, name: str, setup: Setup, *, keeping: bool = False
    ) -> SightsmithError | None:
        """Loads a model into a server or, unless that is to be kept, sets it up otherwise; what goes wrong is noted."""
        try:
            self._setups[server, name] = await self._set_up(server, name, setup, keeping=keeping)
        except (ModelNotServableError, UnavailableError, DeadlineExceededError) as error:
            self._refusals.postpone(_key((server, name)))
            return error
        self._refusals.forget(_key((server, name)))
        return None

    async def _set_up(self, server: str, name: str, setup: Setup, *, keeping: bool) -> Setup:
        seconds, found = self._settings.model_load_timeout_seconds, await self._tritons[server].configuration(name)
        if found is not None and keeping:
            return setup_of(found)
        if found is None and setup == self._plain:
            await self._tritons[server].load(name, seconds)
        elif found is None or setup_of(found) != setup:
            text = await asyncio.to_thread(self._repository.configuration_text, name)
            await self._tritons[server].load(name, seconds, configured(text, setup))
        return setup

    def _is_unwanted(self, server: str, name: str, deployments: Sequence[Deployment], loaded: Loaded) -> bool:
        """Whether a server need not have a model: nobody needs it, or it stands wherever it is to stand."""
        if self._claims[name]:
            return False
        if not any(name in deployment.triton_models for deployment in deployments):
            return True
        need = needs_of(deployments, self._plain).get(name)
        wanted = self._wanted(need, loaded) if need else {}
        return bool(wanted) and server not in wanted and all(name in loaded[other] for other in wanted)

    def _is_last_in_use(self, name: str, loaded: Loaded) -> bool:
        """Whether a request is under way to a model that stands in one server only."""
        return self._routes.is_in_use(name) and sum(name in names for names in loaded.values()) == 1

    async def _unload(self, server: str, name: str, loaded: Loaded) -> None:
        # Asked once more under the lock: it may have been put into service since, or is about to be. In this order: who
        # claims it later waits for the lock before loading it.
        if self._is_unwanted(server, name, await self._deployments.all(), loaded):
            await self._tritons[server].unload(name)
            _log.info("model unloaded", triton_model=name, triton=server)


def _key(spot: _Spot) -> str:
    return " ".join(spot)
