"""Brings model versions from the training service into the Triton repository."""

from collections.abc import Mapping

from sightsmith_inference.errors import ModelNotServableError
from sightsmith_inference.keyed_locks import KeyedLocks
from sightsmith_inference.models import Models, Runtime, ServableModel
from sightsmith_inference.trained_models import TrainedModels
from sightsmith_inference.triton_repository import TritonRepository


class Staging:
    """Stages every format of a model version, once."""

    def __init__(self, trained_models: TrainedModels, repository: TritonRepository, models: Models) -> None:
        self._trained_models = trained_models
        self._repository = repository
        self._models = models
        self._locks = KeyedLocks()

    async def stage(self, model: str) -> Mapping[Runtime, ServableModel]:
        """Makes a model version ready to be loaded. What is staged is answered without asking anybody.

        Args:
            model: `projects/{project}/models/{model}`.

        Returns:
            What Triton can load, by runtime; at least one.

        Raises:
            NotFoundError: if there is no such model version.
            ModelNotServableError: if its files are not what they should be.
            UnavailableError: if a server that is needed is out of reach.
        """
        async with self._locks.of(model):
            staged = await self._models.staged(model)
            if staged and all(self._repository.has(servable.triton_model) for servable in staged.values()):
                return staged
            return await self._stage_anew(model)

    async def why_not_exported(self, model: str, runtime: Runtime) -> str:
        """Why a model version has no files for a runtime; the training service knows it.

        Raises:
            NotFoundError: if there is no such model version.
            UnavailableError: if the training service cannot be asked.
        """
        trained = await self._trained_models.get(model)
        return trained.refused.get(runtime, "its training did not try that")

    async def _stage_anew(self, model: str) -> Mapping[Runtime, ServableModel]:
        trained = await self._trained_models.get(model)
        if not trained.files:
            raise ModelNotServableError(f"{model} has no exported files")
        servables = {runtime: await self._repository.stage(trained, runtime) for runtime in trained.files}
        await self._models.add_staged(servables)
        return servables
