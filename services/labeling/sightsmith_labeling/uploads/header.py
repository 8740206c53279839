"""What a client says of an image before its bytes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sightsmith.errors import FieldViolation
from sightsmith_labeling.annotation_rules import annotation_violations, label_problem
from sightsmith_labeling.annotations import NewAnnotation, Origin


@dataclass(frozen=True)
class HeaderLimits:
    """What a header may be at most: lengths in characters; None stands for no limit."""

    max_source_length: int = 1024
    max_label_length: int = 255
    max_labels: int | None = None
    max_boxes: int | None = None


@dataclass(frozen=True)
class ImageHeader:
    """Where an image comes from and what it shows.

    Attributes:
        labels: of the whole image.
        annotations: boxes, and labels of the whole image whose maker is told.
    """

    source: str
    labels: tuple[str, ...]
    annotations: tuple[NewAnnotation, ...] = ()

    def all_annotations(self, author: str) -> tuple[NewAnnotation, ...]:
        """Everything that is to be annotated on the image; what is said twice is taken once.

        Args:
            author: of what people made and gave no author.
        """
        labels = (NewAnnotation(label, origin=Origin.IMPORT) for label in sorted(self.labels))
        said = {(annotation.label, annotation.box): annotation for annotation in (*labels, *self.annotations)}
        return tuple(
            annotation if annotation.author or annotation.origin == Origin.MODEL else replace(annotation, author=author)
            for annotation in said.values()
        )


def header_violations(header: ImageHeader, limits: HeaderLimits) -> Sequence[FieldViolation]:
    """Everything that is wrong with a header, each thing under its field: `source`, `labels`, `labels[1]`."""
    return [
        *_source_violations(header.source, limits),
        *_labels_violations(header, limits),
        *box_violations(header, None, None, limits),
    ]


def box_violations(
    header: ImageHeader, width: int | None, height: int | None, limits: HeaderLimits
) -> Iterator[FieldViolation]:
    """Everything that is wrong with the annotations of an image whose size in pixels may be known."""
    boxes = sum(annotation.box is not None for annotation in header.annotations)
    if limits.max_boxes is not None and boxes > limits.max_boxes:
        yield FieldViolation("annotations", f"must have at most {limits.max_boxes} boxes, not {boxes}")
        return
    for index, annotation in enumerate(header.annotations):
        for violation in annotation_violations(annotation, width, height, limits.max_label_length):
            yield FieldViolation(f"annotations[{index}].{violation.field}", violation.description)


def _source_violations(source: str, limits: HeaderLimits) -> Iterator[FieldViolation]:
    if len(source) > limits.max_source_length:
        yield FieldViolation("source", f"must have at most {limits.max_source_length} characters, not {len(source)}")
    elif "\0" in source:
        yield FieldViolation("source", "must not have the character NUL")


def _labels_violations(header: ImageHeader, limits: HeaderLimits) -> Iterator[FieldViolation]:
    count = len(header.labels) + sum(annotation.box is None for annotation in header.annotations)
    if limits.max_labels is not None and count > limits.max_labels:
        yield FieldViolation("labels", f"must be at most {limits.max_labels}, not {count}")
        return
    first: dict[str, int] = {}
    for index, label in enumerate(header.labels):
        problem = label_problem(label, limits.max_label_length)
        if problem is None and first.setdefault(label, index) != index:
            problem = f"is the same as labels[{first[label]}]"
        if problem is not None:
            yield FieldViolation(f"labels[{index}]", problem)
