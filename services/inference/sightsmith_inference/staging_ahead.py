"""Stages new model versions before anybody asks for them, so that a deployment later starts at once."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.api.events.v1.event_pb2 import Event
from sightsmith.errors import NotFoundError, UnavailableError
from sightsmith.logs import get_logger
from sightsmith.names import ModelName
from sightsmith_inference.errors import ModelNotServableError
from sightsmith_inference.lease import Lease
from sightsmith_inference.models import Models, request_staging
from sightsmith_inference.retries import Retries
from sightsmith_inference.staging import Staging

_log = get_logger(__name__)


async def on_model_created(session: AsyncSession, event: Event) -> None:
    """Takes note of a new model version; the work is done outside the event's transaction.

    Raises:
        InvalidArgumentError: if the event does not name a model.
    """
    await request_staging(session, str(ModelName.parse(event.model_created.model, "model_created.model")))


class StagingAhead:
    """Works through the list of model versions that are to be staged."""

    def __init__(self, lease: Lease, models: Models, staging: Staging) -> None:
        self._lease = lease
        self._models = models
        self._staging = staging
        self._retries = Retries()

    async def run(self, seconds: float) -> None:
        """Looks at the list every so many seconds, until cancelled."""
        try:
            while True:
                await self._look()
                await asyncio.sleep(seconds)
        finally:
            await self._lease.give_back()

    async def _look(self) -> None:
        try:
            # Should staging outlast the lease, another replica stages the same, which does no harm.
            while await self._lease.hold() and (model := await self._models.next_to_stage(self._retries.waiting())):
                if await self._is_settled(model):
                    await self._models.finish_staging(model)
                    self._retries.forget(model)
        except UnavailableError as error:
            _log.warning("new models are not staged", error=error.message)

    async def _is_settled(self, model: str) -> bool:
        """Stages a model version; returns whether it is staged or never will be."""
        try:
            await self._staging.stage(model)
        except (ModelNotServableError, NotFoundError) as error:
            _log.warning("model cannot be staged", model=model, error=error.message)
        except UnavailableError as error:
            seconds = self._retries.postpone(model)
            _log.warning("model is not staged yet, trying again", model=model, seconds=seconds, error=error.message)
            return False
        return True
