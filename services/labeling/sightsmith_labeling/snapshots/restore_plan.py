"""What must be done to one picture of a project so that it is as a snapshot says."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from sightsmith.names import ImageName
from sightsmith_labeling.annotations import Annotation, Box, NewAnnotation, Origin, numbered, whole_image_labels
from sightsmith_labeling.snapshots.manifest import ordered_boxes
from sightsmith_labeling.snapshots.reading import SnapshotImage


class Fate(Enum):
    """What becomes of an image."""

    RETURNED = auto()
    MOVED = auto()
    CHANGED = auto()
    UNCHANGED = auto()


@dataclass(frozen=True)
class PresentImage:
    """An image as the project has it now.

    Attributes:
        sequence: the key of its row.
        last_annotation: the highest annotation id that was ever given.
    """

    sequence: int
    name: ImageName
    source: str
    annotations: tuple[Annotation, ...]
    last_annotation: int


@dataclass(frozen=True)
class Restoration:
    """An image of the snapshot and what the project has of it; None if it was deleted."""

    wanted: SnapshotImage
    present: PresentImage | None

    @property
    def name(self) -> ImageName:
        """The name that the image is to have."""
        return ImageName.parse(self.wanted.image)

    @property
    def fate(self) -> Fate:
        """What becomes of the image; of several things the first in the order of `Fate`."""
        if self.present is None:
            return Fate.RETURNED
        if (self.present.name, self.present.source) != (self.name, self.wanted.source):
            return Fate.MOVED
        now = whole_image_labels(self.present.annotations), tuple(ordered_boxes(self.present.annotations))
        return Fate.UNCHANGED if now == (self.wanted.labels, self.wanted.boxes) else Fate.CHANGED

    @property
    def last_annotation(self) -> int:
        """The highest annotation id that was given so far."""
        return self.present.last_annotation if self.present is not None else 0

    def annotations(self, author: str, time: datetime) -> tuple[Annotation, ...]:
        """What is to be annotated on the image. What says the same already stays as it is, with its author and time.

        Args:
            author: of what is not on the image now.
            time: of its making.
        """
        missing: Counter[tuple[str, Box | None]] = Counter([(label, None) for label in self.wanted.labels])
        missing.update(self.wanted.boxes)
        kept = []
        for annotation in self.present.annotations if self.present is not None else ():
            if missing[annotation.content] > 0:
                missing[annotation.content] -= 1
                kept.append(annotation)
        new = [NewAnnotation(label, box, Origin.IMPORT, author) for label, box in missing.elements()]
        return (*kept, *numbered(new, self.last_annotation, time))


def plan(wanted: Sequence[SnapshotImage], present: Sequence[PresentImage]) -> Iterator[Restoration]:
    """Finds for each copy of a picture in a snapshot the copy of it that the project has.

    A copy in the same dataset is that one, whatever its name is by now; else it is one that has moved.

    Args:
        wanted: the copies in the snapshot, at most one in each dataset.
        present: the copies in the project, at most one in each dataset.
    """
    by_dataset = {image.name.dataset: image for image in present}
    found = [(image, by_dataset.pop(ImageName.parse(image.image).dataset, None)) for image in wanted]
    moved = iter(by_dataset.values())
    for image, same in found:
        yield Restoration(image, same or next(moved, None))
