"""Between snapshots and their protobuf messages."""

from sightsmith.api.labeling.v1 import annotation_pb2, dataset_pb2, snapshot_pb2, snapshot_service_pb2
from sightsmith.names import ProjectName
from sightsmith.rpc.repeatable_requests import request_id_from_proto
from sightsmith_labeling.convert import split_to_proto, timestamp
from sightsmith_labeling.snapshots.differences import Comparison, Counts, Kind, LabelledBox
from sightsmith_labeling.snapshots.restoring import Restored
from sightsmith_labeling.snapshots.snapshots import Snapshot, SnapshotRequest
from sightsmith_labeling.splitting.auto_split import DEFAULT_TEST_FRACTION, AutoSplit

_KINDS = {
    Kind.ADDED: snapshot_service_pb2.ImageDifference.KIND_ADDED,
    Kind.REMOVED: snapshot_service_pb2.ImageDifference.KIND_REMOVED,
    Kind.CHANGED: snapshot_service_pb2.ImageDifference.KIND_CHANGED,
}


def snapshot_request_from_proto(request: snapshot_service_pb2.CreateSnapshotRequest) -> SnapshotRequest:
    """Reads the request for a new snapshot.

    Raises:
        InvalidArgumentError: naming the field that is wrong.
    """
    # A fraction of 0 is one that was left out.
    fraction = request.auto_split.test_fraction or DEFAULT_TEST_FRACTION
    return SnapshotRequest(
        project=ProjectName.parse(request.parent, "parent"),
        auto_split=AutoSplit(fraction, request.auto_split.seed),
        include_unlabelled=request.include_unlabelled,
        request_id=request_id_from_proto(request.request_id),
        reuse_equal=request.reuse_equal,
    )


def snapshot_to_proto(snapshot: Snapshot) -> snapshot_pb2.Snapshot:
    """A snapshot as a client sees it."""
    return snapshot_pb2.Snapshot(
        name=str(snapshot.name),
        manifest_sha256=snapshot.manifest_sha256,
        manifest_key=snapshot.manifest_key,
        train_image_count=snapshot.train_image_count,
        test_image_count=snapshot.test_image_count,
        label_counts=[snapshot_pb2.SnapshotLabelCount(**vars(count)) for count in snapshot.label_counts],
        unready_image_count=snapshot.unready_image_count,
        includes_unlabelled=snapshot.includes_unlabelled,
        unlabelled_image_count=snapshot.unlabelled_image_count,
        embedding_files=[snapshot_pb2.EmbeddingFile(**vars(file)) for file in snapshot.embedding_files],
        auto_split=_auto_split_to_proto(snapshot.auto_split) if snapshot.auto_split else None,
        create_time=timestamp(snapshot.create_time),
    )


def _auto_split_to_proto(split: AutoSplit) -> snapshot_pb2.AutoSplit:
    return snapshot_pb2.AutoSplit(test_fraction=split.test_fraction, seed=split.seed)


def comparison_to_proto(comparison: Comparison) -> snapshot_service_pb2.ImageDifference:
    """An image that differs, as a client sees it."""
    image, base, other = comparison.image, comparison.base, comparison.other
    return snapshot_service_pb2.ImageDifference(
        kind=_KINDS[comparison.kind],
        image=image.image,
        sha256=image.sha256,
        source=image.source,
        added_labels=comparison.added_labels,
        removed_labels=comparison.removed_labels,
        added_boxes=map(_box_to_proto, comparison.added_boxes),
        removed_boxes=map(_box_to_proto, comparison.removed_boxes),
        base_split=split_to_proto(base.split) if base is not None else dataset_pb2.SPLIT_UNSPECIFIED,
        other_split=split_to_proto(other.split) if other is not None else dataset_pb2.SPLIT_UNSPECIFIED,
    )


def counts_to_proto(counts: Counts) -> snapshot_service_pb2.SnapshotDifferenceCounts:
    """How many images differ, as a client sees it."""
    return snapshot_service_pb2.SnapshotDifferenceCounts(
        added_image_count=counts.kinds[Kind.ADDED],
        removed_image_count=counts.kinds[Kind.REMOVED],
        changed_image_count=counts.kinds[Kind.CHANGED],
        moved_image_count=counts.moved,
        unchanged_image_count=counts.kinds[Kind.UNCHANGED],
    )


def restored_to_proto(restored: Restored) -> snapshot_service_pb2.RestoreSnapshotResponse:
    """What a restoration did, as a client sees it."""
    return snapshot_service_pb2.RestoreSnapshotResponse(
        **{f"{what}_image_count": count for what, count in vars(restored).items()}
    )


def _box_to_proto(found: LabelledBox) -> snapshot_pb2.LabelledBox:
    label, box = found
    return snapshot_pb2.LabelledBox(label=label, box=annotation_pb2.BoundingBox(**vars(box)))
