"""From the entries of a snapshot to the images that a classifier learns from and is judged by."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sightsmith_training.engine.classification.truth import Activation, Truth
from sightsmith_training.engine.contract import Violation
from sightsmith_training.engine.errors import TrainingError
from sightsmith_training.engine.specification import SpecEntry, Task
from sightsmith_training.engine.tasks import image_labels

Pixels = npt.NDArray[np.uint8]
"""Shape [images, side, side, 3], RGB."""

_TRAINING_IMAGES_TO_JUDGE = 100


@dataclass(frozen=True)
class Samples:
    """The images of a snapshot that are of use, training images first.

    Attributes:
        labels: sorted names.
        entries: each with exactly one label or, under a sigmoid, with any number of labels.
        truth: shape [entries, labels]; which labels each entry carries.
        training: how many of the entries are training images.
        ignored: how many images of the snapshot are of no use.
        activation: a softmax for one label an image, a sigmoid for any number.
    """

    labels: list[str]
    entries: list[SpecEntry]
    truth: Truth
    training: int
    ignored: int
    activation: Activation

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


def select_samples(entries: Sequence[SpecEntry], task: Task, min_images_per_label: int) -> Samples:
    """Takes the entries that are of use for a classifier, and checks that there are enough.

    Args:
        entries: of the snapshot.
        task: one of the two kinds of classification. Images without a label are of no use where an image has exactly
            one, and stand for "none of these" where it may have any number.
        min_images_per_label: training images that each label needs.

    Raises:
        TrainingError: NOT_ENOUGH_DATA if there are too few labels, or a label has too few training images.
    """
    activation: Activation = "softmax" if task == "classification" else "sigmoid"
    usable = [entry for entry in entries if activation == "sigmoid" or len(image_labels(entry)) == 1]
    # A fixed order makes the model independent of the order in which the snapshot lists its images.
    usable.sort(key=lambda entry: (entry.split != "train", entry.sha256, entry.image))
    labels = sorted({label for entry in usable for label in image_labels(entry)})
    truth = np.array([[label in image_labels(entry) for label in labels] for entry in usable], np.bool_)
    truth = truth.reshape(len(usable), len(labels))
    training = sum(entry.split == "train" for entry in usable)
    _check_labels(labels, 2 if activation == "softmax" else 1)
    check_counts(labels, truth[:training].sum(axis=0).tolist(), min_images_per_label)
    return Samples(labels, usable, truth, training, len(entries) - len(usable), activation)


def _check_labels(labels: Sequence[str], needed: int) -> None:
    if len(labels) >= needed:
        return
    found = f"only {labels[0]!r}" if labels else "none"
    wanted = "1 label is" if needed == 1 else f"{needed} labels are"
    raise TrainingError(
        "NOT_ENOUGH_DATA",
        f"at least {wanted} needed for a classifier; the snapshot has {found}",
        [Violation(field="labels", description=f"at least {wanted} needed, found {len(labels)}")],
        labels=len(labels),
        min_labels=needed,
    )


def check_counts(labels: Sequence[str], counts: Sequence[int], needed: int) -> None:
    """Checks that each label has enough training images.

    Raises:
        TrainingError: NOT_ENOUGH_DATA with a violation for each label that has not.
    """
    violations = [
        Violation(field=f"labels['{label}']", description=f"has {count} training images, at least {needed} are needed")
        for label, count in zip(labels, counts, strict=True)
        if count < needed
    ]
    if violations:
        raise TrainingError(
            "NOT_ENOUGH_DATA",
            f"{len(violations)} of {len(labels)} labels have fewer than {needed} training images; with "
            "leave_out_rare_labels the training would do without them",
            violations,
            min_images_per_label=needed,
        )
