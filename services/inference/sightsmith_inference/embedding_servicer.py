"""`sightsmith.api.inference.v1.EmbeddingService`."""

import numpy as np

from sightsmith.api.inference.v1 import embedding_service_pb2 as pb
from sightsmith.api.inference.v1.embedding_service_pb2_grpc import EmbeddingServiceServicer
from sightsmith.errors import SightsmithError
from sightsmith.names import BackboneName
from sightsmith.rpc import Context
from sightsmith.rpc.status import to_status
from sightsmith_inference.backbones import Backbone, Backbones, BackboneState
from sightsmith_inference.embedder import Embedder, StoredImage, Vector

_FLOAT32 = np.dtype("<f4")


class EmbeddingServicer(EmbeddingServiceServicer):
    """Embeds images."""

    def __init__(self, backbones: Backbones, embedder: Embedder) -> None:
        self._backbones = backbones
        self._embedder = embedder

    async def ListBackbones(self, request: pb.ListBackbonesRequest, context: Context) -> pb.ListBackbonesResponse:
        """Lists the backbones."""
        return pb.ListBackbonesResponse(
            backbones=[_backbone_to_proto(backbone, state) for backbone, state in self._backbones.all()]
        )

    async def Embed(self, request: pb.EmbedRequest, context: Context) -> pb.EmbedResponse:
        """Embeds several images."""
        name = BackboneName.parse(request.backbone, "backbone")
        images = [_image_of(image) for image in request.images]
        results = await self._embedder.embed(name, images, context.time_remaining())
        return pb.EmbedResponse(results=map(_result_to_proto, results))


def _image_of(image: pb.EmbedRequest.Image) -> bytes | StoredImage:
    return StoredImage(image.sha256) if image.HasField("sha256") else image.content


def _result_to_proto(result: Vector | SightsmithError) -> pb.EmbedResponse.Result:
    if isinstance(result, SightsmithError):
        return pb.EmbedResponse.Result(error=to_status(result))
    return pb.EmbedResponse.Result(vector=result.astype(_FLOAT32).tobytes())


def _backbone_to_proto(backbone: Backbone, state: BackboneState) -> pb.Backbone:
    return pb.Backbone(
        name=str(backbone.name),
        network=backbone.network,
        image_side=backbone.image_side,
        feature_count=backbone.features,
        triton_model=backbone.triton_model,
        state=pb.Backbone.State.Value(f"STATE_{state}"),
    )
