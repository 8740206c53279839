"""What labeling asks the inference service: embeddings, and how sure a deployed model is."""

import math
from collections.abc import Sequence

import grpc
import numpy as np

from sightsmith.api.inference.v1 import embedding_service_pb2, prediction_service_pb2
from sightsmith.api.inference.v1.embedding_service_pb2_grpc import EmbeddingServiceStub
from sightsmith.api.inference.v1.prediction_service_pb2_grpc import PredictionServiceStub
from sightsmith.errors import SightsmithError, UnavailableError
from sightsmith.names import BackboneName, DeploymentName
from sightsmith.rpc.channel import error_of
from sightsmith.rpc.status import from_status
from sightsmith_labeling.embeddings.sketches import Vectors
from sightsmith_labeling.embeddings.store import read_vector

_TIMEOUT_SECONDS = 60.0
# The scores of labels that exclude each other sum to 1 within this.
_SUM_TOLERANCE = 1e-3
_Image = embedding_service_pb2.EmbedRequest.Image


class InferenceService:
    """The inference service, over a channel to it."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._embeddings = EmbeddingServiceStub(channel)
        self._predictions = PredictionServiceStub(channel)

    async def embed_stored(self, backbone: str, sha256s: Sequence[str]) -> Sequence[Vectors | SightsmithError]:
        """The embeddings of images that lie in the object store, float32 of shape [features]; or why there is none.

        Raises:
            SightsmithError: if none can be had now.
        """
        return await self._embed(backbone, [_Image(sha256=sha256) for sha256 in sha256s])

    async def embed_picture(self, backbone: str, data: bytes) -> Vectors:
        """The embedding of an encoded picture, float32 of shape [features].

        Raises:
            SightsmithError: if it is no picture that can be read, or none can be had now.
        """
        (result,) = await self._embed(backbone, [_Image(content=data)])
        if isinstance(result, SightsmithError):
            raise result
        return result

    async def uncertainties(self, deployment: DeploymentName, images: Sequence[bytes]) -> Sequence[float | None]:
        """How unsure a deployed model is of each image.

        Returns:
            0 (sure) to 1 (no idea) for each image; None for one that cannot be read.

        Raises:
            SightsmithError: if the deployment does not answer.
        """
        request = prediction_service_pb2.BatchPredictRequest(
            deployment=str(deployment), images=images, min_confidence=0.0, skip_sampling=True
        )
        try:
            response = await self._predictions.BatchPredict(request, timeout=_TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise error_of(error) from error
        return [None if result.HasField("error") else uncertainty(result.predictions) for result in response.results]

    async def _embed(self, backbone: str, images: Sequence[_Image]) -> Sequence[Vectors | SightsmithError]:
        request = embedding_service_pb2.EmbedRequest(backbone=str(BackboneName(backbone)), images=images)
        try:
            response = await self._embeddings.Embed(request, timeout=_TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise error_of(error) from error
        return [
            from_status(result.error) if result.HasField("error") else _checked(read_vector(result.vector))
            for result in response.results
        ]


def _checked(vector: Vectors) -> Vectors | SightsmithError:
    """The features, if they are what the square root can be taken of. Else it is this image's trouble alone."""
    if len(vector) == 0 or not np.isfinite(vector).all() or (vector < 0).any():
        return UnavailableError("inference answered what is no embedding", metadata={"service": "inference"})
    return vector


def uncertainty(predictions: Sequence[prediction_service_pb2.Prediction]) -> float:
    """How unsure a model is of an image, 0 to 1: the entropy of its scores as a share of the greatest possible.

    Where labels, or boxes, do not exclude each other, each is there or not, and the most doubtful one counts.

    Args:
        predictions: everything that the model sees on the image.
    """
    scores = [found.confidence for found in predictions]
    has_boxes = any(found.HasField("box") for found in predictions)
    if has_boxes or abs(sum(scores) - 1) > _SUM_TOLERANCE:
        return max((_entropy_share([score, 1 - score]) for score in scores), default=0.0)
    return _entropy_share(scores)


def _entropy_share(probabilities: Sequence[float]) -> float:
    entropy = -sum(share * math.log(share) for share in probabilities if share > 0)
    return min(1.0, entropy / math.log(len(probabilities))) if len(probabilities) > 1 else 0.0
