"""From the entries of a snapshot to the images that a detector learns from and is judged by."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sightsmith_training.engine.box_flaws import box_flaws, too_many_flawed
from sightsmith_training.engine.contract import Violation
from sightsmith_training.engine.detection.labelling import Labelling
from sightsmith_training.engine.judging.answers import LabelledImage
from sightsmith_training.engine.samples import check_counts
from sightsmith_training.engine.specification import SpecBox, SpecEntry


@dataclass(frozen=True)
class DetectionSamples:
    """The images of a snapshot that are of use for a detector, training images first.

    Attributes:
        labels: sorted names.
        entries: with sound boxes or with nothing at all on them, which makes them background.
        training: how many of the entries are training images.
        ignored: how many images of the snapshot are of no use.
        flawed: images with boxes that cannot be right; they are not among the entries.
    """

    labels: list[str]
    entries: list[SpecEntry]
    training: int
    ignored: int
    flawed: list[Violation]

    @property
    def test(self) -> int:
        """How many of the entries are test images."""
        return len(self.entries) - self.training

    @property
    def training_digest(self) -> str:
        """Names the contents of the training images and their boxes, in their order."""
        contents = "\n".join(
            f"{entry.sha256} {[box.model_dump() for box in entry.boxes]}"
            f"{[box.model_dump() for box in entry.left_out_boxes] or ''}"
            for entry in self.entries[: self.training]
        )
        return hashlib.sha256(contents.encode()).hexdigest()

    def labelling(self, row: int) -> Labelling:
        """The boxes of an entry, as shares of its sides."""
        entry = self.entries[row]
        sides = np.array([entry.width, entry.height] * 2, np.float64)
        boxes, ignored = (
            (_corners(each) / sides).clip(0, 1).astype(np.float32) for each in (entry.boxes, entry.left_out_boxes)
        )
        return Labelling(boxes, self._label_positions(entry), ignored)

    def labelled_image(self, row: int) -> LabelledImage:
        """The boxes of an entry, as its detections are judged by them."""
        entry = self.entries[row]
        return LabelledImage(
            image=entry.image,
            source=entry.source,
            width=entry.width,
            height=entry.height,
            labels=np.empty(0, np.intp),
            boxes=_corners(entry.boxes),
            box_labels=self._label_positions(entry),
        )

    def without(self, unusable: Sequence[SpecEntry]) -> "DetectionSamples":
        """The samples less some of their entries."""
        left_out = {entry.image for entry in unusable}
        return self.relabelled([entry for entry in self.entries if entry.image not in left_out], [])

    def relabelled(self, entries: list[SpecEntry], left_out: Collection[str]) -> "DetectionSamples":
        """The samples with some of their entries, on which some labels are not any more."""
        labels = [label for label in self.labels if label not in left_out]
        return replace(self, labels=labels, entries=entries, training=sum(entry.split == "train" for entry in entries))

    def images_by_label(self) -> list[int]:
        """How many training images have a box of each label."""
        counts = np.zeros(len(self.labels), np.intp)
        for entry in self.entries[: self.training]:
            counts[np.unique(self._label_positions(entry))] += 1
        return [int(count) for count in counts]

    def require_enough(self, min_images_per_label: int) -> None:
        """Checks that every label can be learned.

        Raises:
            TrainingError: NOT_ENOUGH_DATA if a label has boxes on too few training images.
        """
        check_counts(self.labels, self.images_by_label(), min_images_per_label)

    def _label_positions(self, entry: SpecEntry) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
        return np.array([self.labels.index(box.label) for box in entry.boxes], np.intp)


def select_detection_samples(entries: Sequence[SpecEntry], max_unusable_fraction: float) -> DetectionSamples:
    """Takes the entries that are of use for a detector.

    An image with labels but no boxes is of no use: its objects are somewhere, so it is no background either.

    Args:
        entries: of the snapshot.
        max_unusable_fraction: share of the images whose boxes may be flawed, 0 to 1.

    Raises:
        TrainingError: TOO_MANY_UNUSABLE_IMAGES if there are too many flawed ones.
    """
    usable = [entry for entry in entries if entry.boxes or not entry.labels]
    flawed = {entry.image: flaw for entry in usable if (flaw := next(box_flaws(entry), None))}
    if len(flawed) > max_unusable_fraction * len(usable):
        raise too_many_flawed(list(flawed.values()), len(usable), max_unusable_fraction)
    sound = [entry for entry in usable if entry.image not in flawed]
    # A fixed order makes the model independent of the order in which the snapshot lists its images.
    sound.sort(key=lambda entry: (entry.split != "train", entry.sha256, entry.image))
    return DetectionSamples(
        labels=sorted({box.label for entry in sound for box in entry.boxes}),
        entries=sound,
        training=sum(entry.split == "train" for entry in sound),
        ignored=len(entries) - len(usable),
        flawed=list(flawed.values()),
    )


def _corners(boxes: Sequence[SpecBox]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Left, top, right, bottom; shape [boxes, 4]."""
    corners = [(box.left, box.top, box.left + box.width, box.top + box.height) for box in boxes]
    return np.array(corners, np.float64).reshape(-1, 4)
