"""Which model versions there are, as far as it can be known at once."""

from collections.abc import Iterable
from contextlib import suppress

from sightsmith.errors import UnavailableError
from sightsmith_inference.errors import ModelNotServableError
from sightsmith_inference.models import Models
from sightsmith_inference.trained_models import TrainedModels


class KnownModels:
    """Model versions that stand ready, and those that the training service knows."""

    def __init__(self, models: Models, trained_models: TrainedModels) -> None:
        self._models = models
        self._trained_models = trained_models

    async def require(self, names: Iterable[str]) -> None:
        """Refuses model versions that are not there, so that nobody has to wait for a deployment to find out.

        About one that stands ready nobody is asked. One that nobody can be asked about now, or that has another fault,
        is let through: whoever makes it ready looks again, and says what is wrong.

        Args:
            names: of model versions, `projects/{project}/models/{model}`.

        Raises:
            NotFoundError: naming the first that is not there.
        """
        for name in dict.fromkeys(names):
            if not await self._models.is_ready(name):
                with suppress(UnavailableError, ModelNotServableError):
                    await self._trained_models.get(name)
