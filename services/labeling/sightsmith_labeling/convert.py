"""Between the service's values and its protobuf messages."""

import uuid
from collections.abc import AsyncIterator
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from sightsmith.api.labeling.v1 import (
    annotation_pb2,
    dataset_pb2,
    image_pb2,
    labeling_service_pb2,
    project_pb2,
    snapshot_pb2,
)
from sightsmith.errors import InvalidArgumentError
from sightsmith.names import DatasetName, ImageName, ProjectName
from sightsmith.rpc.status import to_status
from sightsmith_labeling.annotations import Annotation, Origin
from sightsmith_labeling.auto_split import DEFAULT_TEST_FRACTION, AutoSplit
from sightsmith_labeling.datasets import Dataset, Split
from sightsmith_labeling.images import Image, ImageState
from sightsmith_labeling.projects import Project
from sightsmith_labeling.snapshots import Snapshot, SnapshotRequest
from sightsmith_labeling.uploads.answers import Answer, RefusedImage
from sightsmith_labeling.uploads.assembler import Part
from sightsmith_labeling.uploads.header import ImageHeader

_SPLITS = {dataset_pb2.SPLIT_TRAIN: Split.TRAIN, dataset_pb2.SPLIT_TEST: Split.TEST}
_IMAGE_STATES = {
    ImageState.PENDING: image_pb2.Image.STATE_PENDING,
    ImageState.READY: image_pb2.Image.STATE_READY,
    ImageState.FAILED: image_pb2.Image.STATE_FAILED,
}
_ORIGINS = {
    Origin.IMPORT: annotation_pb2.Annotation.ORIGIN_IMPORT,
    Origin.PERSON: annotation_pb2.Annotation.ORIGIN_PERSON,
    Origin.MODEL: annotation_pb2.Annotation.ORIGIN_MODEL,
}
_PROTO_SPLITS = {split: proto for proto, split in _SPLITS.items()}


def project_to_proto(project: Project) -> project_pb2.Project:
    """A project as a client sees it."""
    return project_pb2.Project(
        name=str(project.name), display_name=project.display_name, create_time=timestamp(project.create_time)
    )


def split_from_proto(split: dataset_pb2.Split.ValueType) -> Split:
    """Reads the split of a new dataset.

    Raises:
        InvalidArgumentError: if it is none that is known here; a newer client may know more.
    """
    if split not in _SPLITS:
        names = " or ".join(dataset_pb2.Split.Name(known) for known in _SPLITS)
        raise InvalidArgumentError.of_field("dataset.split", f"must be {names}, not {split}")
    return _SPLITS[split]


def dataset_to_proto(dataset: Dataset) -> dataset_pb2.Dataset:
    """A dataset as a client sees it."""
    counts = dataset.statistics
    return dataset_pb2.Dataset(
        name=str(dataset.name),
        split=_PROTO_SPLITS[dataset.split],
        create_time=timestamp(dataset.create_time),
        image_count=counts.image_count,
        labelled_image_count=counts.labelled_image_count,
        erroneous_image_count=counts.erroneous_image_count,
        unready_image_count=counts.unready_image_count,
        label_counts=[dataset_pb2.LabelCount(**vars(label)) for label in counts.labels],
    )


def image_to_proto(image: Image) -> image_pb2.Image:
    """An image as a client sees it."""
    return image_pb2.Image(
        name=str(image.name),
        state=_IMAGE_STATES[image.state],
        sha256=image.sha256 or "",
        source=image.source,
        labels=image.labels,
        annotations=[annotation_to_proto(image.name, annotation) for annotation in image.annotations],
        problems=[image_pb2.Image.Problem(**vars(problem)) for problem in image.problems],
        width=image.width or 0,
        height=image.height or 0,
        size_bytes=image.size_bytes or 0,
        media_type=image.media_type or "",
        etag=etag_of(image.revision),
        create_time=timestamp(image.create_time),
        update_time=timestamp(image.update_time),
    )


def etag_of(revision: int) -> str:
    """The etag of an image's revision."""
    return f'"{revision}"'


def annotation_to_proto(image: ImageName, annotation: Annotation) -> annotation_pb2.Annotation:
    """An annotation as a client sees it."""
    box = annotation.box
    return annotation_pb2.Annotation(
        name=f"{image}/annotations/{annotation.id}",
        label=annotation.label,
        box=annotation_pb2.BoundingBox(**vars(box)) if box is not None else None,
        origin=_ORIGINS[annotation.origin],
        author=annotation.author,
        confidence=annotation.confidence,
        create_time=timestamp(annotation.create_time),
    )


async def upload_parts(requests: AsyncIterator[labeling_service_pb2.UploadImagesRequest]) -> AsyncIterator[Part]:
    """The parts of an upload as they come.

    Raises:
        InvalidArgumentError: if a message holds none of the parts.
    """
    async for request in requests:
        match request.WhichOneof("part"):
            case "parent":
                yield DatasetName.parse(request.parent, "parent")
            case "header":
                yield ImageHeader(request.header.source, tuple(request.header.labels))
            case "chunk":
                yield request.chunk
            case _:
                raise InvalidArgumentError.of_field("part", "must be parent, header or chunk")


async def upload_parent(parts: AsyncIterator[Part]) -> DatasetName:
    """Reads the dataset that an upload begins with.

    Raises:
        InvalidArgumentError: if it begins with something else, or is empty.
    """
    first = await anext(parts, None)
    if not isinstance(first, DatasetName):
        raise InvalidArgumentError.of_field("parent", "must be the first message of the upload")
    return first


def answer_to_proto(answer: Answer) -> labeling_service_pb2.UploadImagesResponse:
    """What became of an image of an upload, as a client sees it."""
    response = labeling_service_pb2.UploadImagesResponse
    if isinstance(answer, RefusedImage):
        return response(
            index=answer.index,
            source=answer.source,
            outcome=response.OUTCOME_REJECTED,
            error=to_status(answer.error),
        )
    return response(
        index=answer.index,
        source=answer.source,
        outcome=response.OUTCOME_CREATED if answer.is_new else response.OUTCOME_UNCHANGED,
        image=image_to_proto(answer.image),
    )


def snapshot_request_from_proto(request: labeling_service_pb2.CreateSnapshotRequest) -> SnapshotRequest:
    """Reads the request for a new snapshot.

    Raises:
        InvalidArgumentError: naming the field that is wrong.
    """
    # A fraction of 0 is one that was left out.
    fraction = request.auto_split.test_fraction or DEFAULT_TEST_FRACTION
    return SnapshotRequest(
        project=ProjectName.parse(request.parent, "parent"),
        auto_split=AutoSplit(fraction, request.auto_split.seed),
        request_id=_uuid("request_id", request.request_id) if request.request_id else None,
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
        auto_split=_auto_split_to_proto(snapshot.auto_split) if snapshot.auto_split else None,
        create_time=timestamp(snapshot.create_time),
    )


def _auto_split_to_proto(split: AutoSplit) -> snapshot_pb2.AutoSplit:
    return snapshot_pb2.AutoSplit(test_fraction=split.test_fraction, seed=split.seed)


def _uuid(field: str, text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise InvalidArgumentError.of_field(field, f"must be a UUID, not {text[:80]!r}") from None


def timestamp(time: datetime) -> Timestamp:
    """A moment as protobuf has it."""
    timestamp = Timestamp()
    timestamp.FromDatetime(time)
    return timestamp
