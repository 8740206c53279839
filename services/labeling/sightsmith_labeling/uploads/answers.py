"""What a client is told about one image of its upload."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sightsmith.errors import AlreadyExistsError, FieldViolation, InvalidArgumentError, SightsmithError
from sightsmith.images import ImageError
from sightsmith.names import DatasetName
from sightsmith_labeling.images import Image
from sightsmith_labeling.joining import Joined, NewImage, contents_of


@dataclass(frozen=True)
class StoredImage:
    """The image is in the dataset for good; `is_new` tells whether it was not there before.

    Attributes:
        index: the image's place in the upload, counted from 0.
    """

    index: int
    source: str
    image: Image
    is_new: bool


@dataclass(frozen=True)
class RefusedImage:
    """The image was refused, and nothing of it is kept.

    Attributes:
        index: the image's place in the upload, counted from 0.
    """

    index: int
    source: str
    error: SightsmithError


Answer = StoredImage | RefusedImage


def answer_of(index: int, offered: NewImage, joined: Joined) -> Answer:
    """The answer for an image that was offered to a dataset, which may hold it already."""
    source = offered.kept.source
    if joined.is_new or contents_of(joined.image.annotations) == offered.contents:
        return StoredImage(index, source, joined.image, joined.is_new)
    return RefusedImage(index, source, _conflict(offered, joined.image))


def wrong_header(violations: Sequence[FieldViolation]) -> InvalidArgumentError:
    """The error for an image of which something is said that cannot be."""
    problems = "; ".join(f"{violation.field} {violation.description}" for violation in violations)
    return InvalidArgumentError(problems, violations=violations)


def unacceptable(source: str, error: ImageError) -> InvalidArgumentError:
    """The error for bytes that are not an image that is taken, said of the file that they came from."""
    return InvalidArgumentError(
        f"{source}: {error}",
        reason=error.reason,
        metadata=error.metadata,
        violations=[FieldViolation(source, str(error))],
    )


def _conflict(offered: NewImage, there: Image) -> AlreadyExistsError:
    source, labels = offered.kept.source, offered.labels
    is_labelled_alike = set(there.labels) == set(labels)
    sent = "other boxes" if is_labelled_alike else _listed(labels)
    problem = (
        f"the same image is in {DatasetName(there.name.project, there.name.dataset)} already as {there.source!r} "
        f"with {_listed(there.labels)}, "
        f"and was now sent with {sent}"
    )
    return AlreadyExistsError(
        f"{source}: {problem}",
        reason="IMAGE_CONFLICTING_LABELS",
        metadata={"image": str(there.name), "labels": json.dumps(there.labels, ensure_ascii=False)},
        violations=[FieldViolation(source, problem)],
    )


def _listed(labels: tuple[str, ...]) -> str:
    if not labels:
        return "no labels"
    return ("the label " if len(labels) == 1 else "the labels ") + ", ".join(repr(label) for label in sorted(labels))
