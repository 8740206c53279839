"""Which model answers for a deployment, kept in memory, so that predictions need no database."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from random import Random

from sightsmith.errors import NotFoundError, UnavailableError
from sightsmith.logs import get_logger
from sightsmith.names import DeploymentName
from sightsmith_inference.deployment import Deployment
from sightsmith_inference.deployments import Deployments
from sightsmith_inference.models import ServableModel
from sightsmith_inference.releases import Release
from sightsmith_inference.sampling_policy import OFF, SamplingPolicy

_log = get_logger(__name__)


class Routes:
    """The deployments as they were a moment ago, and how many requests are under way to each model."""

    def __init__(self, deployments: Deployments) -> None:
        self._deployments = deployments
        self._by_name: Mapping[str, Deployment] = {}
        self._under_way: Counter[str] = Counter()
        self._refreshing = asyncio.Lock()
        self._refreshed = asyncio.Event()
        self._random = Random()  # noqa: S311 - nothing secret hangs on it

    async def run(self, seconds: float) -> None:
        """Follows what the other replicas change, until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            await self.refresh()

    async def refresh(self) -> None:
        """Reads the deployments again. Without the database, what is known goes on to serve."""
        # One at a time, so that an older answer never replaces a newer one.
        async with self._refreshing:
            try:
                deployments = await self._deployments.all()
            except UnavailableError as error:
                _log.warning("routes are not refreshed", error=error.message)
                return
            self._by_name = {str(deployment.name): deployment for deployment in deployments}
            # Whoever waits is woken; whoever comes later waits for the next time.
            self._refreshed.set()
            self._refreshed = asyncio.Event()

    def find(self, name: DeploymentName) -> Deployment | None:
        """A deployment as it was a moment ago, without history; None if there was none."""
        return self._by_name.get(str(name))

    async def wait_changed(self, name: DeploymentName, revision: int, seconds: float) -> None:
        """Waits until a deployment is seen at another revision or not at all, or for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    await self._refreshed.wait()
                    if (found := self.find(name)) is None or found.revision != revision:
                        return

    def pick(self, name: DeploymentName, alias: str = "") -> str:
        """Which alias answers a request: the one that is asked for, or one by chance, as traffic is shared.

        Raises:
            NotFoundError: if there is no such deployment, or no such alias of it that answers.
            UnavailableError: with the reason WRONG_STATE, if it does not answer now.
        """
        release = self._serving(name)
        if alias and release.find(alias) is None:
            raise NotFoundError(f"{name}@{alias}")
        return alias or release.pick(self._random.random()).alias

    @contextmanager
    def using(self, name: DeploymentName, alias: str = "") -> Iterator[ServableModel]:
        """The model that answers for a deployment; it is not unloaded before the block ends.

        Raises:
            NotFoundError: if there is no such deployment, or no such alias of it that answers.
            UnavailableError: with the reason WRONG_STATE, if it does not answer now.
        """
        target = self._serving(name).find(self.pick(name, alias))
        if target is None or target.servable is None:
            raise UnavailableError(f"{name} does not answer", reason="WRONG_STATE")
        with self.holding(target.servable) as model:
            yield model

    @contextmanager
    def holding(self, model: ServableModel) -> Iterator[ServableModel]:
        """Keeps a model from being unloaded before the block ends."""
        self._under_way[model.triton_model] += 1
        try:
            yield model
        finally:
            self._under_way[model.triton_model] -= 1

    def sampling(self, name: DeploymentName) -> SamplingPolicy:
        """Which predictions of a deployment are kept for review."""
        deployment = self.find(name)
        return deployment.sampling if deployment else OFF

    def is_in_use(self, triton_model: str) -> bool:
        """Whether a request is under way to a model, in this process."""
        return self._under_way[triton_model] > 0

    def _serving(self, name: DeploymentName) -> Release:
        deployment = self.find(name)
        if deployment is None:
            raise NotFoundError(str(name))
        if deployment.serving is None:
            why = f": {deployment.error.message}" if deployment.error else ""
            raise UnavailableError(
                f"{name} does not answer, it is {deployment.state}{why}",
                reason="WRONG_STATE",
                metadata={"state": deployment.state, "deployment": str(name)},
            )
        return deployment.serving
