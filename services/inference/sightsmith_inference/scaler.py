"""Looks after how many replicas deployments have, and lets those be idle that nobody asks."""

import time
from collections.abc import Sequence
from datetime import timedelta

from prometheus_client import Counter, Gauge

from sightsmith.database import utc_now
from sightsmith.logs import get_logger
from sightsmith_inference.deployment import Deployment, DeploymentState
from sightsmith_inference.deployments import Deployments
from sightsmith_inference.placements import Loaded, Placements
from sightsmith_inference.scaling import Decision, ScalingRule, Work, decide
from sightsmith_inference.settings import InferenceSettings
from sightsmith_inference.tritons import Tritons
from sightsmith_inference.usage import Usage

_replicas = Gauge("sightsmith_inference_replicas", "Replicas of a deployment.", ["deployment", "kind"])
_queue_seconds = Gauge("sightsmith_inference_queue_seconds", "Mean time in Triton's queue of late.", ["deployment"])
_changes = Counter("sightsmith_inference_scalings_total", "Replicas added or taken away.", ["deployment", "direction"])
_log = get_logger(__name__)


class Scaler:
    """Decides by Triton's statistics. One replica of the service works with it at a time."""

    def __init__(
        self, settings: InferenceSettings, deployments: Deployments, placements: Placements, tritons: Tritons
    ) -> None:
        self._settings = settings
        self._deployments = deployments
        self._placements = placements
        self._usage = Usage(tritons, settings.scale_window_seconds)
        self._rule = ScalingRule(
            settings.scale_up_queue_seconds,
            settings.scale_down_queue_seconds,
            settings.scale_up_after_seconds,
            settings.scale_down_after_seconds,
        )
        self._next_look = 0.0

    async def look(self, deployments: Sequence[Deployment], loaded: Loaded) -> bool:
        """Changes what is to be changed; returns whether a deployment became idle.

        Raises:
            UnavailableError: if the database cannot be reached.
        """
        if time.monotonic() < self._next_look:
            return False
        self._next_look = time.monotonic() + self._settings.scale_look_seconds
        asked = await self._usage.look()
        is_idle = False
        for deployment in deployments:
            if deployment.state is DeploymentState.RUNNING:
                await self._note_use(deployment, asked)
                await self._note_ready(deployment, loaded)
                await self._scale(deployment)
                is_idle |= await self._is_put_to_rest(deployment, asked)
        _show(deployments)
        return is_idle

    def stop(self) -> None:
        """Forgets what another replica of the service looks after now."""
        self._usage.forget()
        _replicas.clear()
        _queue_seconds.clear()

    async def _note_use(self, deployment: Deployment, asked: frozenset[str]) -> None:
        last, least = deployment.scale.last_use_time, timedelta(seconds=self._settings.last_use_seconds)
        if deployment.triton_models & asked and (last is None or utc_now() - last >= least):
            await self._deployments.note_use(deployment)

    async def _note_ready(self, deployment: Deployment, loaded: Loaded) -> None:
        ready = self._placements.ready_replicas(deployment, loaded)
        if ready != deployment.scale.ready:
            await self._deployments.note_ready(deployment, ready)

    async def _scale(self, deployment: Deployment) -> None:
        work, instances = self._busiest(deployment)
        _queue_seconds.labels(str(deployment.name)).set(work.queue_seconds)
        since = max(filter(None, (deployment.scale.change_time, deployment.create_time)))
        unchanged = (utc_now() - since).total_seconds()
        decision = decide(self._rule, deployment.replicas, deployment.scale.desired, instances, work, unchanged)
        # As long as there are fewer than were asked for, asking for more brings nothing.
        is_late = deployment.scale.ready < deployment.scale.desired
        if decision is None or (is_late and decision.replicas > deployment.scale.desired):
            return
        if await self._deployments.scale(deployment, decision.replicas, decision.reason):
            self._tell(deployment, decision)

    def _tell(self, deployment: Deployment, decision: Decision) -> None:
        direction = "up" if decision.replicas > deployment.scale.desired else "down"
        _changes.labels(str(deployment.name), direction).inc()
        _log.info("deployment scaled", deployment=str(deployment.name), **vars(decision))

    def _busiest(self, deployment: Deployment) -> tuple[Work, int]:
        """What the model had to do whose requests wait the longest, and its instances in a replica."""
        works = [
            (
                self._usage.work(target.servable.triton_model),
                self._placements.need_of(deployment, target, target.servable),
            )
            for target in (deployment.serving.targets if deployment.serving else ())
            if target.servable is not None and not target.is_shadow
        ]
        work, need = max(works, key=lambda found: (found[0].queue_seconds, found[0].busy_instances))
        return work, need.setup.instances

    async def _is_put_to_rest(self, deployment: Deployment, asked: frozenset[str]) -> bool:
        seconds = deployment.replicas.idle_seconds
        if not seconds or deployment.triton_models & asked:
            return False
        last = max(filter(None, (deployment.scale.last_use_time, deployment.update_time)))
        if utc_now() - last < timedelta(seconds=seconds):
            return False
        _log.info("deployment is idle", deployment=str(deployment.name))
        return await self._deployments.idle(deployment)


def _show(deployments: Sequence[Deployment]) -> None:
    _replicas.clear()
    for deployment in deployments:
        name, wanted, scale = str(deployment.name), deployment.replicas, deployment.scale
        kinds = {"min": wanted.min, "max": wanted.max, "desired": scale.desired, "ready": scale.ready}
        for kind, count in kinds.items():
            _replicas.labels(name, kind).set(count)
