"""Snapshots of what is labelled in a project."""

import uuid
from collections.abc import Iterator

import grpc

from sightsmith.api.labeling.v1 import snapshot_pb2, snapshot_service_pb2
from sightsmith.api.labeling.v1.snapshot_service_pb2_grpc import SnapshotServiceStub
from sightsmith.client.calls import all_pages, calling
from sightsmith.names import ProjectName


class Snapshots:
    """Takes snapshots, compares them, and brings a project back to one.

    Attributes:
        stub: the generated stub.
    """

    def __init__(self, channel: grpc.Channel) -> None:
        self.stub = SnapshotServiceStub(channel)

    def take(
        self,
        project: str,
        test_fraction: float = 0.2,
        seed: int = 0,
        include_unlabelled: bool = False,
        reuse_equal: bool = False,
    ) -> snapshot_pb2.Snapshot:
        """Takes a snapshot; test images are set aside where the project has none of its own.

        Args:
            project: id of the project.
            test_fraction: share of each label's images to set aside, above 0 and at most 0.5.
            seed: decides which ones.
            include_unlabelled: take images without any label or box too.
            reuse_equal: return the newest snapshot that says the same, if there is one.
        """
        request = snapshot_service_pb2.CreateSnapshotRequest(
            parent=str(ProjectName(project)),
            auto_split=snapshot_pb2.AutoSplit(test_fraction=test_fraction, seed=seed),
            include_unlabelled=include_unlabelled,
            reuse_equal=reuse_equal,
            request_id=str(uuid.uuid4()),
        )
        with calling():
            return self.stub.CreateSnapshot(request)

    def get(self, name: str) -> snapshot_pb2.Snapshot:
        """A snapshot, by `projects/{project}/snapshots/{snapshot}`."""
        with calling():
            return self.stub.GetSnapshot(snapshot_service_pb2.GetSnapshotRequest(name=name))

    def list(self, project: str) -> Iterator[snapshot_pb2.Snapshot]:
        """The snapshots of a project, newest first."""
        parent = str(ProjectName(project))
        return all_pages(
            lambda token: self.stub.ListSnapshots(
                snapshot_service_pb2.ListSnapshotsRequest(parent=parent, page_token=token)
            ),
            lambda page: page.snapshots,
        )

    def diff(self, base: str, other: str) -> Iterator[snapshot_service_pb2.DiffSnapshotsResponse]:
        """Every image that differs between two snapshots of a project, and as the last message how many do.

        Args:
            base: what is compared with: `projects/{project}/snapshots/{snapshot}`.
            other: what is compared.
        """
        with calling():
            yield from self.stub.DiffSnapshots(snapshot_service_pb2.DiffSnapshotsRequest(base=base, other=other))

    def count_differences(self, base: str, other: str) -> snapshot_service_pb2.SnapshotDifferenceCounts:
        """How many images differ between two snapshots of a project."""
        request = snapshot_service_pb2.DiffSnapshotsRequest(base=base, other=other, counts_only=True)
        with calling():
            *_, last = self.stub.DiffSnapshots(request)
        return last.counts

    def restore(self, name: str, validate_only: bool = False) -> snapshot_service_pb2.RestoreSnapshotResponse:
        """Brings the project's datasets back to a snapshot.

        Args:
            name: `projects/{project}/snapshots/{snapshot}`.
            validate_only: tell what would be done, and do nothing.
        """
        request = snapshot_service_pb2.RestoreSnapshotRequest(name=name, validate_only=validate_only)
        with calling():
            return self.stub.RestoreSnapshot(request)
