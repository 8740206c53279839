"""Brings deployments back that are idle, when somebody asks them."""

import time
from collections.abc import Awaitable, Callable

from sightsmith.errors import UnavailableError
from sightsmith.logs import get_logger
from sightsmith.names import DeploymentName
from sightsmith_inference.deployment import Deployment, DeploymentState
from sightsmith_inference.deployments import Deployments
from sightsmith_inference.keyed_locks import KeyedLocks
from sightsmith_inference.routes import Routes

# Before its deadline by so much a caller is told, so that it hears why rather than only that time is over.
_MARGIN_SECONDS = 0.2
_RETRY_SECONDS = 2.0
_log = get_logger(__name__)


class Waking:
    """Lets requests wait for deployments that nobody had asked for a while."""

    def __init__(
        self, routes: Routes, deployments: Deployments, changed: Callable[[], Awaitable[None]], longest_seconds: float
    ) -> None:
        """Prepares it.

        Args:
            routes: tells how deployments stand.
            deployments: where it is written down that one is to start.
            changed: called after that, so that it is begun at once.
            longest_seconds: how long a request waits at most; 0 for not at all.
        """
        self._routes = routes
        self._deployments = deployments
        self._changed = changed
        self._longest_seconds = longest_seconds
        self._locks = KeyedLocks()

    async def wait(self, name: DeploymentName, deadline: float) -> None:
        """Has a deployment started that is idle, and waits until it answers or is seen not to; returns at once else.

        Args:
            name: of the deployment, which need not exist.
            deadline: of the request, on the clock `time.monotonic`.

        Raises:
            UnavailableError: with the reason WARMING_UP, if it takes longer than the request may.
        """
        if self._waking(name) is None:
            return
        give_up = min(deadline - _MARGIN_SECONDS, time.monotonic() + self._longest_seconds)
        await self._start(name)
        while (deployment := self._waking(name)) is not None:
            left = give_up - time.monotonic()
            if left <= 0:
                raise UnavailableError(
                    f"{name} was idle and is being loaded",
                    reason="WARMING_UP",
                    metadata={"state": deployment.state},
                    retry_seconds=_RETRY_SECONDS,
                )
            await self._routes.wait_changed(name, deployment.revision, left)

    async def _start(self, name: DeploymentName) -> None:
        # One request asks for all that wait.
        async with self._locks.of(str(name)):
            deployment = self._waking(name)
            if deployment is not None and deployment.state is DeploymentState.IDLE:
                await self._deployments.start(name)
                _log.info("deployment is asked for again", deployment=str(name))
                await self._changed()

    def _waking(self, name: DeploymentName) -> Deployment | None:
        found = self._routes.find(name)
        return found if found is not None and found.is_waking else None
