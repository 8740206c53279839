"""SnapshotService: reads requests, calls what they are about, and converts the answers."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from sightsmith.api.labeling.v1 import snapshot_service_pb2 as pb
from sightsmith.api.labeling.v1.snapshot_pb2 import Snapshot
from sightsmith.api.labeling.v1.snapshot_service_pb2_grpc import SnapshotServiceServicer
from sightsmith.errors import InvalidArgumentError
from sightsmith.names import ProjectName, SnapshotName
from sightsmith.objects import Objects
from sightsmith.paging import PageRequest
from sightsmith.rpc import Context
from sightsmith_labeling.snapshots.convert import (
    comparison_to_proto,
    counts_to_proto,
    restored_to_proto,
    snapshot_request_from_proto,
    snapshot_to_proto,
)
from sightsmith_labeling.snapshots.differences import Counts, Kind, compare_snapshots
from sightsmith_labeling.snapshots.restoring import Restorer
from sightsmith_labeling.snapshots.snapshots import Snapshots


class SnapshotServicer(SnapshotServiceServicer):
    """Answers the calls of `sightsmith.api.labeling.v1.SnapshotService`; the protos say what each does."""

    def __init__(self, snapshots: Snapshots, restorer: Restorer, objects: Objects) -> None:
        self._snapshots = snapshots
        self._restorer = restorer
        self._objects = objects

    async def CreateSnapshot(self, request: pb.CreateSnapshotRequest, context: Context) -> Snapshot:
        return snapshot_to_proto(await self._snapshots.create(snapshot_request_from_proto(request)))

    async def GetSnapshot(self, request: pb.GetSnapshotRequest, context: Context) -> Snapshot:
        return snapshot_to_proto(await self._snapshots.get(SnapshotName.parse(request.name)))

    async def ListSnapshots(self, request: pb.ListSnapshotsRequest, context: Context) -> pb.ListSnapshotsResponse:
        project = ProjectName.parse(request.parent, "parent")
        page = PageRequest.parse(request.page_size, request.page_token)
        snapshots, token = await self._snapshots.list(project, page)
        return pb.ListSnapshotsResponse(snapshots=map(snapshot_to_proto, snapshots), next_page_token=token)

    async def DiffSnapshots(
        self, request: pb.DiffSnapshotsRequest, context: Context
    ) -> AsyncIterator[pb.DiffSnapshotsResponse]:
        names = SnapshotName.parse(request.base, "base"), SnapshotName.parse(request.other, "other")
        if names[0].project != names[1].project:
            raise InvalidArgumentError.of_field("other", f"must be a snapshot of {ProjectName(names[0].project)} too")
        base, other = [await self._snapshots.get(name) for name in names]
        counts = Counts()
        async with aclosing(compare_snapshots(self._objects, base, other)) as batches:
            async for batch in batches:
                for comparison in batch:
                    counts.add(comparison)
                    if comparison.kind != Kind.UNCHANGED and not request.counts_only:
                        yield pb.DiffSnapshotsResponse(difference=comparison_to_proto(comparison))
        yield pb.DiffSnapshotsResponse(counts=counts_to_proto(counts))

    async def RestoreSnapshot(self, request: pb.RestoreSnapshotRequest, context: Context) -> pb.RestoreSnapshotResponse:
        snapshot = await self._snapshots.get(SnapshotName.parse(request.name))
        return restored_to_proto(await self._restorer.restore(snapshot, request.validate_only))
