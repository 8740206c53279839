"""Deleting models."""

from collections.abc import AsyncIterator

import grpc
from sqlalchemy import delete

from sightsmith.api.events.v1.event_pb2 import ModelDeleted
from sightsmith.api.inference.v1.deployment_pb2 import Deployment
from sightsmith.api.inference.v1.deployment_service_pb2 import ListDeploymentsRequest
from sightsmith.api.inference.v1.deployment_service_pb2_grpc import DeploymentServiceStub
from sightsmith.database import Database
from sightsmith.errors import FailedPreconditionError, UnavailableError
from sightsmith.events.outbox import tell
from sightsmith.logs import get_logger
from sightsmith.names import ModelName, ProjectName
from sightsmith.rpc.channel import error_of
from sightsmith_training.discarded_files import DiscardedFiles, discard
from sightsmith_training.models import Models, locked_model_row
from sightsmith_training.tables import ModelRow, Outbox

_TIMEOUT_SECONDS = 10.0
_PAGE_SIZE = 1000
_log = get_logger(__name__)


class ModelDeleting:
    """Deletes models that no deployment names."""

    def __init__(self, database: Database, files: DiscardedFiles, inference: grpc.aio.Channel) -> None:
        """Prepares it.

        Args:
            database: where the models are.
            files: deletes their files.
            inference: a channel to the service that knows the deployments.
        """
        self._database = database
        self._models = Models(database)
        self._files = files
        self._deployments = DeploymentServiceStub(inference)

    async def delete(self, name: ModelName, etag: str = "") -> None:
        """Deletes a model with its evaluation, and its files unless a copy needs them.

        A deployment that is created between the question to inference and the deletion is not seen. It then runs from
        inference's own copy of the files if there is one, and otherwise ends FAILED, because the model does not exist.

        Raises:
            NotFoundError: if there is no such model.
            AbortedError: with the reason ETAG_MISMATCH, if the model was changed since the etag was read.
            FailedPreconditionError: with the reason IN_USE, if a deployment names the model.
            UnavailableError: if inference cannot be asked; nothing is deleted.
        """
        await self._models.get(name)
        if users := [deployment.name async for deployment in self._deployments_of(name)]:
            raise FailedPreconditionError(
                f"{name} is deployed: delete {', '.join(users)} or give it another model first",
                reason="IN_USE",
                metadata={"name": str(name), "deployments": ",".join(users)},
            )
        async with self._database.transaction() as session:
            row = await locked_model_row(session, name, etag)
            await discard(session, [file["key"] for file in (*row.artifacts, *row.report_files)])
            # By itself, not through the session: the database takes the evaluated images along.
            await session.execute(delete(ModelRow).where(ModelRow.id == row.id))
            tell(session, Outbox, ModelDeleted(model=str(name)))
        _log.info("model deleted", model=str(name))
        await self._files.sweep()

    async def _deployments_of(self, name: ModelName) -> AsyncIterator[Deployment]:
        """The deployments that serve a model or are to serve it, in whatever state. They are of its own project."""
        request = ListDeploymentsRequest(parent=str(ProjectName(name.project)), page_size=_PAGE_SIZE)
        while True:
            try:
                page = await self._deployments.ListDeployments(request, timeout=_TIMEOUT_SECONDS)
            except grpc.RpcError as error:
                raise _cannot_tell(name, error) from error
            for deployment in page.deployments:
                if str(name) in _models_of(deployment):
                    yield deployment
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token


def _models_of(deployment: Deployment) -> set[str]:
    """What a deployment serves and is to serve, under whatever alias."""
    wanted = {deployment.model, *(alias.model for alias in deployment.aliases)}
    return wanted | {deployment.serving_model, *(alias.model for alias in deployment.serving_aliases)}


def _cannot_tell(name: ModelName, error: grpc.RpcError) -> UnavailableError:
    return UnavailableError(
        f"inference cannot be asked whether {name} is deployed, so it is not deleted: {error_of(error).message}",
        metadata={"service": "inference"},
    )
