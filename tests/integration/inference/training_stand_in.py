"""Stands in for the training service at the boundary of its process: the same API, the same server, models of ours."""

from typing import Any

from grpc import aio

from sightsmith.api.training.v1 import model_pb2, model_service_pb2, model_service_pb2_grpc
from sightsmith.errors import NotFoundError
from sightsmith.rpc.server import RpcServer
from sightsmith.settings import Settings


class TrainingStandIn(model_service_pb2_grpc.ModelServiceServicer):
    """Answers `GetModel` for the models that were put into it."""

    def __init__(self) -> None:
        self.models: dict[str, model_pb2.Model] = {}

    async def GetModel(
        self, request: model_service_pb2.GetModelRequest, context: aio.ServicerContext[Any, Any]
    ) -> model_pb2.Model:
        if request.name not in self.models:
            raise NotFoundError(request.name)
        return self.models[request.name]

    async def start(self, settings: Settings) -> tuple[RpcServer, str]:
        """Begins to serve; returns the server and its address."""
        server = RpcServer(settings)
        server.add(
            model_service_pb2_grpc.add_ModelServiceServicer_to_server, self, "sightsmith.api.training.v1.ModelService"
        )
        return server, await server.start()
