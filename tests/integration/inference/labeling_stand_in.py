"""Stands in for the labeling service at the boundary of its process: the same API, the same server, images of ours."""

from typing import Any

from grpc import aio

from sightsmith.api.labeling.v1 import (
    image_pb2,
    labeling_service_pb2,
    labeling_service_pb2_grpc,
    snapshot_pb2,
    snapshot_service_pb2,
    snapshot_service_pb2_grpc,
)
from sightsmith.errors import NotFoundError
from sightsmith.rpc.server import RpcServer
from sightsmith.settings import Settings

_PAGE = 2


class LabelingStandIn(labeling_service_pb2_grpc.LabelingServiceServicer):
    """Answers for what was put into it: `ListImages` of datasets, two at a time, and `GetImage`, hashes by name."""

    def __init__(self) -> None:
        self.hashes: dict[str, str] = {}
        self.images: dict[str, list[image_pb2.Image]] = {}
        self.snapshots = SnapshotStandIn()  # type: ignore[abstract]  # what inference never calls answers UNIMPLEMENTED

    async def ListImages(
        self, request: labeling_service_pb2.ListImagesRequest, context: aio.ServicerContext[Any, Any]
    ) -> labeling_service_pb2.ListImagesResponse:
        if request.parent not in self.images:
            raise NotFoundError(request.parent)
        begin = int(request.page_token or 0)
        images = [one for one in self.images[request.parent] if one.state in request.filter.states]
        end = begin + _PAGE
        return labeling_service_pb2.ListImagesResponse(
            images=images[begin:end], next_page_token=str(end) if end < len(images) else ""
        )

    async def GetImage(
        self, request: labeling_service_pb2.GetImageRequest, context: aio.ServicerContext[Any, Any]
    ) -> image_pb2.Image:
        if request.name not in self.hashes:
            raise NotFoundError(request.name)
        return image_pb2.Image(name=request.name, sha256=self.hashes[request.name])

    async def start(self, settings: Settings) -> tuple[RpcServer, str]:
        """Begins to serve; returns the server and its address."""
        server = RpcServer(settings)
        server.add(
            labeling_service_pb2_grpc.add_LabelingServiceServicer_to_server,
            self,
            "sightsmith.api.labeling.v1.LabelingService",
        )
        server.add(
            snapshot_service_pb2_grpc.add_SnapshotServiceServicer_to_server,
            self.snapshots,
            "sightsmith.api.labeling.v1.SnapshotService",
        )
        return server, await server.start()


class SnapshotStandIn(snapshot_service_pb2_grpc.SnapshotServiceServicer):
    """Answers `GetSnapshot` for the snapshots that were put into it."""

    def __init__(self) -> None:
        self.known: dict[str, snapshot_pb2.Snapshot] = {}

    async def GetSnapshot(
        self, request: snapshot_service_pb2.GetSnapshotRequest, context: aio.ServicerContext[Any, Any]
    ) -> snapshot_pb2.Snapshot:
        if request.name not in self.known:
            raise NotFoundError(request.name)
        return self.known[request.name]
