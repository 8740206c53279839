"""Stands in for the training service at the boundary of its process: the same API, the same server, data of ours."""

from typing import Any

from grpc import aio

from sightsmith.api.training.v1 import evaluation_pb2, model_pb2, model_service_pb2, model_service_pb2_grpc
from sightsmith.errors import NotFoundError
from sightsmith.rpc.server import RpcServer
from sightsmith.settings import Settings


class TrainingStandIn(model_service_pb2_grpc.ModelServiceServicer):
    """Tells of the models that were put into it and, if there are any, of the test images that they were judged by."""

    def __init__(self) -> None:
        self.models: dict[str, model_pb2.Model] = {}
        self.judged: dict[str, list[evaluation_pb2.EvaluatedImage]] = {}

    async def GetModel(
        self, request: model_service_pb2.GetModelRequest, context: aio.ServicerContext[Any, Any]
    ) -> model_pb2.Model:
        if request.name not in self.models:
            raise NotFoundError(request.name)
        return self.models[request.name]

    async def GetEvaluation(
        self, request: model_service_pb2.GetEvaluationRequest, context: aio.ServicerContext[Any, Any]
    ) -> evaluation_pb2.Evaluation:
        if request.name.removesuffix("/evaluation") not in self.judged:
            raise NotFoundError(request.name)
        return evaluation_pb2.Evaluation(name=request.name, basis=evaluation_pb2.Evaluation.BASIS_TEST)

    async def ListEvaluatedImages(
        self, request: model_service_pb2.ListEvaluatedImagesRequest, context: aio.ServicerContext[Any, Any]
    ) -> model_service_pb2.ListEvaluatedImagesResponse:
        judged = self.judged[request.parent.removesuffix("/evaluation")]
        return model_service_pb2.ListEvaluatedImagesResponse(evaluated_images=judged[: request.page_size])

    async def start(self, settings: Settings) -> tuple[RpcServer, str]:
        """Begins to serve; returns the server and its address."""
        server = RpcServer(settings)
        server.add(
            model_service_pb2_grpc.add_ModelServiceServicer_to_server, self, "sightsmith.api.training.v1.ModelService"
        )
        return server, await server.start()
