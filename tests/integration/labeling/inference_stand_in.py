"""Stands in for the inference service at the boundary of its process: the same API, the same server, a model of ours.

Its backbone sees how much of each colour is in each quarter of an image. Its deployment is the less sure of an image
the more even its red and blue are.
"""

from pathlib import Path
from typing import Any

import numpy as np
from grpc import aio

from sightsmith.api.inference.v1 import (
    embedding_service_pb2,
    embedding_service_pb2_grpc,
    prediction_service_pb2,
    prediction_service_pb2_grpc,
)
from sightsmith.errors import InvalidArgumentError, NotFoundError, UnavailableError
from sightsmith.images import ImageError, decode_square
from sightsmith.objects import image_key
from sightsmith.rpc.server import RpcServer
from sightsmith.rpc.status import to_status
from sightsmith.settings import Settings

_Context = aio.ServicerContext[Any, Any]
_SIDE = 32


def features(image: bytes) -> np.ndarray:
    quarters = decode_square(image, _SIDE).reshape(2, _SIDE // 2, 2, _SIDE // 2, 3).mean(axis=(1, 3)) / 255
    return np.concatenate([quarters.ravel() ** 2, (1 - quarters.ravel()) ** 2]).astype("<f4")


class InferenceStandIn(
    embedding_service_pb2_grpc.EmbeddingServiceServicer, prediction_service_pb2_grpc.PredictionServiceServicer
):
    """Answers `Embed`, and `BatchPredict` if nothing of it is to be sampled."""

    def __init__(self, objects: Path) -> None:
        self.is_away = False
        self.embedded: list[str] = []
        self.troubling: set[str] = set()
        self._objects = objects

    async def Embed(
        self, request: embedding_service_pb2.EmbedRequest, context: _Context
    ) -> embedding_service_pb2.EmbedResponse:
        if self.is_away:
            raise UnavailableError("Triton is away", reason="WRONG_STATE")
        return embedding_service_pb2.EmbedResponse(results=map(self._embed, request.images))

    async def BatchPredict(
        self, request: prediction_service_pb2.BatchPredictRequest, context: _Context
    ) -> prediction_service_pb2.BatchPredictResponse:
        if not request.deployment.endswith("/live"):
            raise NotFoundError(request.deployment)
        if not request.skip_sampling:
            raise InvalidArgumentError.of_field("skip_sampling", "must be set: labelling is no traffic of production")
        return prediction_service_pb2.BatchPredictResponse(results=map(_predict, request.images))

    async def start(self, settings: Settings) -> tuple[RpcServer, str]:
        """Begins to serve; returns the server and its address."""
        server = RpcServer(settings)
        for module, service in (
            (embedding_service_pb2_grpc.add_EmbeddingServiceServicer_to_server, "EmbeddingService"),
            (prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server, "PredictionService"),
        ):
            server.add(module, self, f"sightsmith.api.inference.v1.{service}")
        return server, await server.start()

    def _embed(self, image: embedding_service_pb2.EmbedRequest.Image) -> embedding_service_pb2.EmbedResponse.Result:
        result = embedding_service_pb2.EmbedResponse.Result
        content = image.content
        if image.sha256:
            self.embedded.append(image.sha256)
            if image.sha256 in self.troubling:
                return result(vector=np.full(24, np.nan, "<f4").tobytes())
            content = (self._objects / image_key(image.sha256)).read_bytes()
        try:
            return result(vector=features(content).tobytes())
        except ImageError as error:
            return result(error=to_status(InvalidArgumentError.of_field("images[0]", str(error), error.reason)))


def _predict(image: bytes) -> prediction_service_pb2.BatchPredictResponse.Result:
    red, _, blue = decode_square(image, _SIDE).reshape(-1, 3).mean(axis=0)
    share = float(red / (red + blue))
    prediction = prediction_service_pb2.Prediction
    return prediction_service_pb2.BatchPredictResponse.Result(
        predictions=[prediction(label="red", confidence=share), prediction(label="blue", confidence=1 - share)]
    )
