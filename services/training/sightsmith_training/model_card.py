"""Model cards: what there is to know of a model, gathered for the page."""

import grpc
from google.rpc import code_pb2

from sightsmith.api.labeling.v1.snapshot_pb2 import Snapshot
from sightsmith.api.labeling.v1.snapshot_service_pb2 import GetSnapshotRequest
from sightsmith.api.labeling.v1.snapshot_service_pb2_grpc import SnapshotServiceStub
from sightsmith.names import ModelName
from sightsmith.rpc.channel import error_of
from sightsmith_training.convert import model_message
from sightsmith_training.engine.catalogue import STARTING_POINTS
from sightsmith_training.evaluation_convert import evaluation_message
from sightsmith_training.model_card_page import model_card_page
from sightsmith_training.models import Models

_TIMEOUT_SECONDS = 10.0
_LICENCES = {name: start.licence for name, start in STARTING_POINTS.items()}


class ModelCards:
    """Writes the cards of models."""

    def __init__(self, models: Models, labeling: grpc.aio.Channel) -> None:
        """Prepares it.

        Args:
            models: all of them.
            labeling: a channel to the service that knows the snapshots.
        """
        self._models = models
        self._snapshots = SnapshotServiceStub(labeling)

    async def write(self, name: ModelName) -> str:
        """The card of a model, in Markdown.

        Raises:
            NotFoundError: if there is no such model.
            UnavailableError: if labeling cannot be reached.
        """
        model = await self._models.get(name)
        snapshot = await self._snapshot(model.snapshot)
        # Of backbones beside the catalogue only the training knew the licence.
        licences = _LICENCES | {name: own for each in model.candidates for name, own in each.licences.items()}
        return model_card_page(model_message(model), evaluation_message(model), snapshot, licences)

    async def _snapshot(self, name: str) -> Snapshot | None:
        """A snapshot; None if it went with its project."""
        try:
            return await self._snapshots.GetSnapshot(GetSnapshotRequest(name=name), timeout=_TIMEOUT_SECONDS)
        except grpc.RpcError as call_error:
            error = error_of(call_error)
            if error.code == code_pb2.NOT_FOUND:
                return None
            raise error from call_error
