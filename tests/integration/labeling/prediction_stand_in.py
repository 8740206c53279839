"""Stands in for the inference service at the boundary of its process: the same API and server, answers of ours."""

import hashlib
from typing import Any

from grpc import aio

from sightsmith.api.inference.v1 import prediction_service_pb2 as pb
from sightsmith.api.inference.v1.prediction_service_pb2_grpc import (
    PredictionServiceServicer,
    add_PredictionServiceServicer_to_server,
)
from sightsmith.errors import InvalidArgumentError, NotFoundError, UnavailableError
from sightsmith.rpc.server import RpcServer
from sightsmith.rpc.status import to_status
from sightsmith.settings import Settings


class PredictionStandIn(PredictionServiceServicer):
    """Answers `BatchPredict` with what was put into it, by the hash of the image, if nothing of it is to be sampled.

    Attributes:
        model: that answers.
        scores: per image, the confidence of each label; images that are not there are refused.
        boxes: per image, a box that goes with each label, in shares of the image's sides; none for the whole image.
        failures: how many calls are still answered with UNAVAILABLE.
        seen: hashes of the images of each call.
    """

    def __init__(self) -> None:
        self.model = "projects/p/models/v1"
        self.scores: dict[str, dict[str, float]] = {}
        self.boxes: dict[str, pb.BoundingBox] = {}
        self.failures = 0
        self.seen: list[list[str]] = []

    def know(self, image: bytes, box: pb.BoundingBox | None = None, **scores: float) -> None:
        sha256 = hashlib.sha256(image).hexdigest()
        self.scores[sha256] = scores
        if box is not None:
            self.boxes[sha256] = box

    async def BatchPredict(
        self, request: pb.BatchPredictRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.BatchPredictResponse:
        if self.failures > 0:
            self.failures -= 1
            raise UnavailableError("not now")
        if not request.deployment.endswith("/live"):
            raise NotFoundError(request.deployment)
        if not request.skip_sampling:
            raise InvalidArgumentError.of_field("skip_sampling", "must be set: labelling is no traffic of production")
        hashes = [hashlib.sha256(image).hexdigest() for image in request.images]
        self.seen.append(hashes)
        results = [self._result(sha256, request.min_confidence) for sha256 in hashes]
        return pb.BatchPredictResponse(results=results, model=self.model)

    async def start(self, settings: Settings) -> tuple[RpcServer, str]:
        """Begins to serve; returns the server and its address."""
        server = RpcServer(settings)
        server.add(add_PredictionServiceServicer_to_server, self, "sightsmith.api.inference.v1.PredictionService")
        return server, await server.start()

    def _result(self, sha256: str, min_confidence: float) -> pb.BatchPredictResponse.Result:
        if sha256 not in self.scores:
            refused = InvalidArgumentError.of_field("images", "is an image that nobody knows", "IMAGE_UNREADABLE")
            return pb.BatchPredictResponse.Result(error=to_status(refused))
        found = sorted(self.scores[sha256].items(), key=lambda item: -item[1])
        return pb.BatchPredictResponse.Result(
            predictions=[
                pb.Prediction(label=label, confidence=score, box=self.boxes.get(sha256))
                for label, score in found
                if score >= min_confidence
            ]
        )
