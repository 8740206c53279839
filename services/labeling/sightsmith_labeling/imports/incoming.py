"""An image on its way into a dataset."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sightsmith_labeling.annotations import NewAnnotation
from sightsmith_labeling.datasets import DatasetKey
from sightsmith_labeling.formats.fields import FieldError, box_of, in_pixels
from sightsmith_labeling.formats.records import ImportedImage
from sightsmith_labeling.images import Problem
from sightsmith_labeling.kept_image import KeptImage

# Upright width and height in pixels; None where they are not known.
Size = tuple[int | None, int | None]


@dataclass(frozen=True)
class StoredBytes:
    """The bytes of an image that lie in the object store, and what is known of them.

    Attributes:
        signals: what the pixels say; None if it was never measured.
    """

    sha256: str
    width: int
    height: int
    size_bytes: int
    media_type: str
    signals: Mapping[str, Any] | None

    @classmethod
    def of(cls, kept: KeptImage) -> "StoredBytes":
        """The bytes of an image that was taken in."""
        info = kept.info
        return cls(kept.sha256, info.width, info.height, kept.size_bytes, info.media_type, vars(kept.signals))


@dataclass(frozen=True)
class Incoming:
    """An image that an import brings.

    Attributes:
        image: what the import says of it.
        dataset: where it goes.
        source: where it comes from, as its row will say.
        bytes: None if the import does not have them.
    """

    image: ImportedImage
    dataset: DatasetKey
    source: str
    bytes: StoredBytes | None = None

    @property
    def is_url(self) -> bool:
        """Whether its source says where its bytes can be fetched."""
        return is_url(self.source)

    @property
    def file_name(self) -> str:
        """The last part of its source, as the computed column of the same name has it."""
        return self.source.rpartition("/")[2][:200]


def is_url(source: str) -> bool:
    """Whether a source says where the bytes of an image can be fetched."""
    return source.startswith(("s3://", "file://"))


def size_note(made_for: Size, known: Size) -> Problem | None:
    """What is to be told of an image whose boxes were made for another size than it has; None if there is nothing."""
    if None in (*made_for, *known) or made_for == known:
        return None
    (width, height), (other_width, other_height) = known, made_for
    message = f"the image is {width} × {height} pixels; its boxes were made for {other_width} × {other_height}"
    return Problem("WARNING_IMAGE_SIZE_DIFFERS", message, "boxes")


def fitted(image: ImportedImage, width: int | None, height: int | None) -> ImportedImage:
    """What an import says of an image, with every box in pixels and inside the image.

    Args:
        image: with the size that the import says.
        width: that the image really has, upright, in pixels; None if it is not known.
        height: likewise.
    """
    size = (width, height) if width and height else (image.width, image.height)
    if not image.relative and size in ((None, None), (image.width, image.height)):
        # The format has looked at the boxes already.
        return image
    kept: list[NewAnnotation] = []
    problems = list(image.problems)
    for annotation in image.annotations:
        try:
            kept.append(_fitted(annotation, image.relative, size))
        except FieldError as error:
            problems.append(Problem(error.code, str(error)))
    return replace(
        image, width=size[0], height=size[1], annotations=tuple(kept), problems=tuple(problems), relative=False
    )


def _fitted(annotation: NewAnnotation, relative: bool, size: tuple[int | None, int | None]) -> NewAnnotation:
    box, (width, height) = annotation.box, size
    if box is None:
        return annotation
    if width is None or height is None:
        message = "the box is given as shares of an image whose size is not known yet: import it with its image"
        raise FieldError("ERROR_IMAGE_SIZE_UNKNOWN", message)
    if relative:
        return replace(annotation, box=in_pixels(box, width, height))
    return replace(annotation, box=box_of(box.left, box.top, box.width, box.height, (width, height)))
