"""Forgets model versions that training has deleted, and removes their files from the Triton repository."""

import asyncio

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.api.events.v1.event_pb2 import Event
from sightsmith.database import Database
from sightsmith.errors import UnavailableError
from sightsmith.logs import get_logger
from sightsmith.names import ModelName
from sightsmith_inference.deployments import Deployments
from sightsmith_inference.lease import Lease
from sightsmith_inference.models import Models
from sightsmith_inference.tables import DeletedModelRow, ModelRow, StagingRequestRow, TritonModelRow
from sightsmith_inference.triton_repository import TritonRepository
from sightsmith_inference.tritons import Tritons

_log = get_logger(__name__)


async def on_model_deleted(session: AsyncSession, event: Event) -> None:
    """Takes note of a deleted model version; it is forgotten as soon as nothing uses it.

    Raises:
        InvalidArgumentError: if the event does not name a model.
    """
    model = str(ModelName.parse(event.model_deleted.model, "model_deleted.model"))
    await session.execute(insert(DeletedModelRow).values(model=model).on_conflict_do_nothing())
    await session.execute(delete(StagingRequestRow).where(StagingRequestRow.model == model))


class DeletedModels:
    """Works through the list of model versions that are to be forgotten.

    Training deletes no model that is deployed, but a deployment that was created at that very moment may use it: then
    it stays until that deployment is gone.
    """

    def __init__(
        self,
        database: Database,
        lease: Lease,
        deployments: Deployments,
        models: Models,
        triton: Tritons,
        repository: TritonRepository,
    ) -> None:
        self._database = database
        self._lease = lease
        self._deployments = deployments
        self._models = models
        self._triton = triton
        self._repository = repository

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
            if await self._lease.hold():
                for model in await self._listed():
                    await self._forget(model)
        except UnavailableError as error:
            _log.warning("deleted models are not forgotten", error=error.message)

    async def _listed(self) -> list[str]:
        async with self._database.transaction() as session:
            return list(await session.scalars(select(DeletedModelRow.model)))

    async def _forget(self, model: str) -> None:
        names = {servable.triton_model for servable in (await self._models.staged(model)).values()}
        # What nobody uses any more is soon unloaded.
        if await self._is_wanted(model) or names & await self._triton.loaded_models():
            return
        for name in names:
            await asyncio.to_thread(self._repository.remove, name)
        try:
            await self._delete(model)
        except IntegrityError:
            _log.info("a deleted model was deployed meanwhile", model=model)
        else:
            _log.info("deleted model forgotten", model=model)

    async def _is_wanted(self, model: str) -> bool:
        return any(model in deployment.models for deployment in await self._deployments.all())

    async def _delete(self, model: str) -> None:
        async with self._database.transaction() as session:
            await session.execute(delete(TritonModelRow).where(TritonModelRow.model == model))
            await session.execute(delete(ModelRow).where(ModelRow.name == model))
            await session.execute(delete(DeletedModelRow).where(DeletedModelRow.model == model))
