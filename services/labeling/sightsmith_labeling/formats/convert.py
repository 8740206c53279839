"""Between the names of formats and their protobuf values."""

from sightsmith.api.labeling.v1 import annotation_format_pb2
from sightsmith.errors import InvalidArgumentError
from sightsmith_labeling.formats.catalogue import FORMATS

AnnotationFormat = annotation_format_pb2.AnnotationFormat
_NAMES = {
    annotation_format_pb2.ANNOTATION_FORMAT_GROUND_TRUTH: "ground_truth",
    annotation_format_pb2.ANNOTATION_FORMAT_COCO: "coco",
    annotation_format_pb2.ANNOTATION_FORMAT_YOLO: "yolo",
    annotation_format_pb2.ANNOTATION_FORMAT_PASCAL_VOC: "voc",
    annotation_format_pb2.ANNOTATION_FORMAT_CSV: "csv",
    annotation_format_pb2.ANNOTATION_FORMAT_LABEL_STUDIO: "label_studio",
    annotation_format_pb2.ANNOTATION_FORMAT_CVAT: "cvat",
    annotation_format_pb2.ANNOTATION_FORMAT_FOLDERS: "folders",
}
_VALUES = {name: value for value, name in _NAMES.items()}


def format_from_proto(field: str, value: AnnotationFormat.ValueType) -> str | None:
    """Reads the format of an import or export; None if it was left out.

    Raises:
        InvalidArgumentError: naming `field`, if it is none that is known here; a newer client may know more.
    """
    if value == annotation_format_pb2.ANNOTATION_FORMAT_UNSPECIFIED:
        return None
    if (name := _NAMES.get(value)) not in FORMATS:
        raise InvalidArgumentError.of_field(field, f"there is no format of number {value}")
    return name


def format_to_proto(name: str | None) -> AnnotationFormat.ValueType:
    """A format as a client sees it; unspecified if there is none."""
    return _VALUES[name] if name else annotation_format_pb2.ANNOTATION_FORMAT_UNSPECIFIED
