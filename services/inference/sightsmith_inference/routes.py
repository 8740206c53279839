"""Which model answers for a deployment, kept in memory, so that predictions need no database."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sightsmith.errors import NotFoundError, UnavailableError
from sightsmith.logs import get_logger
from sightsmith.names import DeploymentName
from sightsmith_inference.deployments import Deployment, Deployments
from sightsmith_inference.models import ServableModel
from sightsmith_inference.sampling import OFF, SamplingPolicy

_log = get_logger(__name__)


class Routes:
    """The deployments as they were a moment ago, and how many requests are under way to each model."""

    def __init__(self, deployments: Deployments) -> None:
        self._deployments = deployments
        self._by_name: Mapping[str, Deployment] = {}
        self._under_way: Counter[str] = Counter()
        self._refreshing = asyncio.Lock()

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

    @contextmanager
    def using(self, name: DeploymentName) -> Iterator[ServableModel]:
        """The model that answers for a deployment; it is not unloaded before the block ends.

        Raises:
            NotFoundError: if there is no such deployment.
            UnavailableError: with the reason WRONG_STATE, if it does not answer now.
        """
        model = self._model_of(name)
        self._under_way[model.triton_model] += 1
        try:
            yield model
        finally:
            self._under_way[model.triton_model] -= 1

    def sampling(self, name: DeploymentName) -> SamplingPolicy:
        """Which predictions of a deployment are kept for review."""
        deployment = self._by_name.get(str(name))
        return deployment.sampling if deployment else OFF

    def is_in_use(self, triton_model: str) -> bool:
        """Whether a request is under way to a model, in this process."""
        return self._under_way[triton_model] > 0

    def _model_of(self, name: DeploymentName) -> ServableModel:
        deployment = self._by_name.get(str(name))
        if deployment is None:
            raise NotFoundError(str(name))
        if deployment.serving is None:
            why = f": {deployment.error.message}" if deployment.error else ""
            raise UnavailableError(
                f"{name} does not answer, it is {deployment.state}{why}",
                reason="WRONG_STATE",
                metadata={"state": deployment.state},
            )
        return deployment.serving
