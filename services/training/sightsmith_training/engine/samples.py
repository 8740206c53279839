"""From the entries of a snapshot to labelled pixels."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from obstore.store import ObjectStore

from sightsmith.images import ImageLimits
from sightsmith_training.engine.contract import SpecEntry, TrainingSpec, Violation
from sightsmith_training.engine.errors import TrainingError
from sightsmith_training.engine.reading import Pixels as Pixels
from sightsmith_training.engine.reading import UnusableImage, read_image

_TRAINING_IMAGES_TO_JUDGE = 100


@dataclass(frozen=True)
class Samples:
    """The labelled images of a snapshot, training images first.

    Attributes:
        labels: sorted names.
        entries: each with exactly one label.
        targets: shape [entries]; the position of each entry's label in `labels`.
        training: how many of the entries are training images.
        ignored: how many images of the snapshot carry no label.
    """

    labels: list[str]
    entries: list[SpecEntry]
    targets: npt.NDArray[np.intp]
    training: int
    ignored: int

    @property
    def test(self) -> int:
        """How many of the entries are test images."""
        return len(self.entries) - self.training

    @property
    def judged(self) -> slice:
        """The images on which the trained network and its exports are run: the test images.

        Without test images the exports are still compared with the network, on some training images.
        """
        if self.test:
            return slice(self.training, len(self.entries))
        return slice(0, min(self.training, _TRAINING_IMAGES_TO_JUDGE))

    @property
    def training_digest(self) -> str:
        """Names the contents of the training images in their order."""
        contents = "\n".join(entry.sha256 for entry in self.entries[: self.training])
        return hashlib.sha256(contents.encode()).hexdigest()


def select_samples(spec: TrainingSpec) -> Samples:
    """Takes the labelled entries and checks that a classifier can be trained from them.

    Raises:
        TrainingError: TRAINING_FAILED if an image has several labels; NOT_ENOUGH_DATA if there are fewer than two
            labels or a label has too few training images.
    """
    _check_single_labels(spec.entries)
    labelled = [entry for entry in spec.entries if entry.labels]
    labels = sorted({entry.labels[0] for entry in labelled})
    _check_counts(labels, labelled, spec.min_images_per_label)
    # A fixed order makes the model independent of the order in which the snapshot lists its images.
    entries = sorted(labelled, key=lambda entry: (entry.split != "train", entry.sha256, entry.image))
    position = {label: index for index, label in enumerate(labels)}
    return Samples(
        labels=labels,
        entries=entries,
        targets=np.array([position[entry.labels[0]] for entry in entries], dtype=np.intp),
        training=sum(entry.split == "train" for entry in entries),
        ignored=len(spec.entries) - len(labelled),
    )


def _check_single_labels(entries: Sequence[SpecEntry]) -> None:
    violations = [
        Violation(field=entry.image, description=f"carries {len(entry.labels)} labels: {', '.join(entry.labels)}")
        for entry in entries
        if len(entry.labels) > 1
    ]
    if violations:
        raise TrainingError(
            "TRAINING_FAILED",
            f"this trainer takes one label per image, but {violations[0].field} {violations[0].description}",
            violations,
            image=violations[0].field,
            images=len(violations),
        )


def _check_counts(labels: Sequence[str], labelled: Sequence[SpecEntry], needed: int) -> None:
    if len(labels) < 2:
        found = f"only {labels[0]!r}" if labels else "none"
        raise TrainingError(
            "NOT_ENOUGH_DATA",
            f"a classifier needs at least 2 labels; the snapshot has {found}",
            [Violation(field="labels", description=f"at least 2 labels are needed, found {len(labels)}")],
            labels=len(labels),
            min_labels=2,
        )
    counts = Counter(entry.labels[0] for entry in labelled if entry.split == "train")
    violations = [
        Violation(
            field=f"labels['{label}']", description=f"has {counts[label]} training images, at least {needed} are needed"
        )
        for label in labels
        if counts[label] < needed
    ]
    if violations:
        raise TrainingError(
            "NOT_ENOUGH_DATA",
            f"{len(violations)} of {len(labels)} labels have fewer than {needed} training images",
            violations,
            min_images_per_label=needed,
        )


def read_pixels(
    store: ObjectStore,
    entries: Sequence[SpecEntry],
    side: int,
    limits: ImageLimits,
    file: Path,
    threads: int,
    advance: Callable[[float], None],
) -> Pixels:
    """Reads and decodes every image into one file that is mapped into memory, so that many images need little of it.

    Args:
        store: holds the encoded images.
        entries: the images to read.
        side: width and height of the decoded squares.
        limits: what an image may be.
        file: where the pixels are kept; it must outlive the returned array.
        threads: how many images are decoded at once.
        advance: called with the share of the images that are done.

    Returns:
        The pixels in the order of the entries.

    Raises:
        TrainingError: TRAINING_FAILED naming the image that is missing, altered or unreadable.
    """
    shape = (len(entries), side, side, 3)
    pixels = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)
    with ThreadPoolExecutor(threads) as pool:
        squares = pool.map(partial(_read_square, store, side, limits), entries)
        try:
            for index, square in enumerate(squares):
                pixels[index] = square
                advance((index + 1) / len(entries))
        except TrainingError:
            pool.shutdown(cancel_futures=True)
            raise
    return pixels


def _read_square(store: ObjectStore, side: int, limits: ImageLimits, entry: SpecEntry) -> Pixels:
    image = read_image(store, side, limits, entry)
    if isinstance(image, UnusableImage):
        raise TrainingError(
            "TRAINING_FAILED",
            f"{entry.image} {image.problem}",
            [Violation(field=entry.image, description=image.problem)],
            image=entry.image,
            image_reason=image.reason,
        )
    return image
