"""Between the service's values and its protobuf messages."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from sightsmith.api.labeling.v1 import (
    annotation_pb2,
    dataset_pb2,
    image_pb2,
    labeling_service_pb2,
    project_pb2,
)
from sightsmith.errors import InvalidArgumentError
from sightsmith.names import ImageName
from sightsmith_labeling.annotations import Annotation, Box, NewAnnotation, Origin
from sightsmith_labeling.datasets import Dataset, Split
from sightsmith_labeling.image_filter import ImageFilter, ImageOrder
from sightsmith_labeling.images import Image, ImageState, etag_of
from sightsmith_labeling.projects import Project

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
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 24 * 60 * 60
_PROTO_SPLITS = {split: proto for proto, split in _SPLITS.items()}


def project_to_proto(project: Project) -> project_pb2.Project:
    """A project as a client sees it."""
    return project_pb2.Project(
        name=str(project.name),
        display_name=project.display_name,
        tags=project.tags,
        create_time=timestamp(project.create_time),
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


def split_to_proto(split: Split) -> dataset_pb2.Split.ValueType:
    """A split as a client sees it."""
    return _PROTO_SPLITS[split]


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
    name = str(image.name)
    return image_pb2.Image(
        name=name,
        state=_IMAGE_STATES[image.state],
        sha256=image.sha256 or "",
        source=image.source,
        labels=image.labels,
        annotations=[annotation_to_proto(name, annotation) for annotation in image.annotations],
        problems=[image_pb2.Image.Problem(**vars(problem)) for problem in image.problems],
        width=image.width or 0,
        height=image.height or 0,
        size_bytes=image.size_bytes or 0,
        media_type=image.media_type or "",
        etag=etag_of(image.revision),
        create_time=timestamp(image.create_time),
        update_time=timestamp(image.update_time),
    )


def image_filter_from_proto(wanted: labeling_service_pb2.ImageFilter) -> ImageFilter:
    """Reads which images a list is about.

    Raises:
        InvalidArgumentError: naming the field that is wrong.
    """
    has_time = wanted.HasField("created_after")
    return ImageFilter(
        labels=[check_text("filter.labels", label) for label in wanted.labels],
        labelled=wanted.labelled if wanted.HasField("labelled") else None,
        has_problems=wanted.has_problems if wanted.HasField("has_problems") else None,
        states=[_image_state_from_proto(state).value for state in wanted.states],
        source_contains=check_text("filter.source_contains", wanted.source_contains),
        origins=[origin_from_proto(origin, "filter.origins") for origin in wanted.origins],
        authors=[check_text("filter.authors", author) for author in wanted.authors],
        created_after=time_from_proto("filter.created_after", wanted.created_after) if has_time else None,
        sha256s=[check_text("filter.sha256s", digest) for digest in wanted.sha256s],
    )


def image_order_from_proto(order_by: str) -> ImageOrder:
    """Reads the order of a list of images.

    Raises:
        InvalidArgumentError: if there is no such order.
    """
    try:
        return ImageOrder(" ".join(order_by.split()) or ImageOrder.CREATE_TIME)
    except ValueError:
        orders = ", ".join(order.value for order in ImageOrder)
        raise InvalidArgumentError.of_field("order_by", f"must be one of {orders}, not {order_by[:80]!r}") from None


def _image_state_from_proto(state: image_pb2.Image.State.ValueType) -> ImageState:
    for known, proto in _IMAGE_STATES.items():
        if proto == state:
            return known
    names = ", ".join(image_pb2.Image.State.Name(proto) for proto in _IMAGE_STATES.values())
    raise InvalidArgumentError.of_field("filter.states", f"must be {names}, not {state}")


def annotation_to_proto(image: ImageName | str, annotation: Annotation, etag: str = "") -> annotation_pb2.Annotation:
    """An annotation as a client sees it.

    Args:
        image: name of the image that it is on.
        annotation: the annotation.
        etag: of the image; empty inside the image, which has it.
    """
    box = annotation.box
    return annotation_pb2.Annotation(
        name=f"{image}/annotations/{annotation.id}",
        label=annotation.label,
        box=annotation_pb2.BoundingBox(**vars(box)) if box is not None else None,
        origin=_ORIGINS[annotation.origin],
        author=annotation.author,
        confidence=annotation.confidence,
        create_time=timestamp(annotation.create_time),
        etag=etag,
    )


def new_annotation_from_proto(
    annotation: annotation_pb2.Annotation, field: str, default_origin: Origin = Origin.PERSON
) -> NewAnnotation:
    """Reads an annotation that a client wants to make.

    Args:
        annotation: as it came.
        field: of the request that holds it.
        default_origin: who made it if it does not say.

    Raises:
        InvalidArgumentError: if its origin is none that is known here; a newer client may know more.
    """
    box = annotation.box
    return NewAnnotation(
        label=annotation.label,
        box=Box(box.left, box.top, box.width, box.height) if annotation.HasField("box") else None,
        origin=origin_from_proto(annotation.origin, f"{field}.origin") if annotation.origin else default_origin,
        author=annotation.author,
        confidence=annotation.confidence if annotation.HasField("confidence") else None,
    )


def check_text(field: str, text: str) -> str:
    """Returns a text to look for, if the database can hold one like it.

    Raises:
        InvalidArgumentError: naming `field`, if it has a NUL in it.
    """
    if "\0" in text:
        raise InvalidArgumentError.of_field(field, "must not have the character NUL")
    return text


def time_from_proto(field: str, time: Timestamp) -> datetime:
    """Reads a moment.

    Raises:
        InvalidArgumentError: naming `field`, if it is not between the years 1 and 9999.
    """
    try:
        return time.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidArgumentError.of_field(field, "must be a moment between the years 1 and 9999") from None


def timestamp(time: datetime) -> Timestamp:
    """A moment as protobuf has it."""
    # What `Timestamp.FromDatetime` does, in a third of the time: a page of images has hundreds of them.
    since = time - _EPOCH
    return Timestamp(seconds=since.days * _DAY + since.seconds, nanos=since.microseconds * 1000)


def origin_from_proto(origin: annotation_pb2.Annotation.Origin.ValueType, field: str) -> Origin:
    """Reads who made an annotation.

    Raises:
        InvalidArgumentError: naming `field`, if it is none that is known here; a newer client may know more.
    """
    for known, proto in _ORIGINS.items():
        if proto == origin:
            return known
    names = ", ".join(annotation_pb2.Annotation.Origin.Name(proto) for proto in _ORIGINS.values())
    raise InvalidArgumentError.of_field(field, f"must be {names}, not {origin}")
