"""Thresholds may be changed without a training: what answers here follows what the training service says."""

import asyncio
from collections.abc import Mapping

from sightsmith.errors import NotFoundError, SightsmithError
from sightsmith.logs import get_logger
from sightsmith_inference.deployments import Deployments
from sightsmith_inference.errors import ModelNotServableError
from sightsmith_inference.lease import Lease
from sightsmith_inference.models import Models, ServableModel
from sightsmith_inference.trained_models import TrainedModels

_log = get_logger(__name__)


class Thresholds:
    """Keeps the thresholds of the models that answer up to date; one replica does it for all."""

    def __init__(self, lease: Lease, deployments: Deployments, trained_models: TrainedModels, models: Models) -> None:
        self._lease = lease
        self._deployments = deployments
        self._trained_models = trained_models
        self._models = models

    async def run(self, seconds: float) -> None:
        """Asks every so many seconds, until cancelled."""
        try:
            while True:
                await asyncio.sleep(seconds)
                await self._look()
        finally:
            await self._lease.give_back()

    async def _look(self) -> None:
        try:
            if await self._lease.hold():
                for model in (await self._answering()).values():
                    await self._follow(model)
        except SightsmithError as error:
            _log.warning("thresholds are not followed", error=error.message)

    async def _answering(self) -> Mapping[str, ServableModel]:
        deployments = await self._deployments.all()
        serving = [deployment.serving for deployment in deployments if deployment.serving]
        return {servable.model: servable for release in serving for servable in release.servables}

    async def _follow(self, model: ServableModel) -> None:
        try:
            trained = await self._trained_models.get(model.model)
        except (NotFoundError, ModelNotServableError) as error:
            _log.warning("a model keeps the thresholds that it has", model=model.model, error=error.message)
            return
        if trained.thresholds != model.thresholds:
            await self._models.change_thresholds(model.model, trained.thresholds)
            _log.info("thresholds changed", model=model.model)
