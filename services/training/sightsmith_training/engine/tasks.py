"""What a model is to do, decided from what is labelled. Needs no torch: the service asks, too."""

from collections.abc import Sequence
from dataclasses import dataclass

from sightsmith_training.engine.contract import Violation
from sightsmith_training.engine.errors import TrainingError
from sightsmith_training.engine.specification import SpecEntry, Task, TaskWish


@dataclass(frozen=True)
class TaskDecision:
    """What is to be trained, and why.

    Attributes:
        task: what the model will do.
        reason: in plain words, for the owner of the images.
        composes_scenes: whether the training images are pictures of the objects themselves, which are pasted into
            scenes because boxes are wanted and only the test images have any.
    """

    task: Task
    reason: str
    composes_scenes: bool = False


@dataclass(frozen=True)
class _Counts:
    """How many training images are labelled in which way."""

    labelled: int
    several_labels: int
    boxed: int
    unlabelled: int
    boxed_test: int

    @classmethod
    def of(cls, entries: Sequence[SpecEntry]) -> "_Counts":
        train = [entry for entry in entries if entry.split == "train"]
        return cls(
            labelled=sum(bool(entry.labels) for entry in train),
            several_labels=sum(len(image_labels(entry)) > 1 for entry in train),
            boxed=sum(bool(entry.boxes) for entry in train),
            unlabelled=sum(not entry.labels and not entry.boxes for entry in train),
            boxed_test=sum(bool(entry.boxes) for entry in entries if entry.split == "test"),
        )


def decide_task(entries: Sequence[SpecEntry], wish: TaskWish) -> TaskDecision:
    """Decides from the training images, as Rekognition Custom Labels does, unless a task is wished for.

    Raises:
        TrainingError: if what is wished for cannot be learned from these images.
    """
    counts = _Counts.of(entries)
    if wish == "auto":
        return _from_data(counts)
    if wish == "detection" and not counts.boxed:
        if counts.labelled and counts.boxed_test:
            return _composed(counts)
        raise _impossible(
            "no training image has a box; draw boxes, or give whole-image labels to pictures of the objects alone and "
            "boxes to the test images"
        )
    if wish == "classification" and counts.several_labels:
        raise _impossible(
            f"{counts.several_labels} of the training images carry several labels; give each one label, or "
            "let a model of several labels be trained"
        )
    return TaskDecision(wish, "It was asked for.")


def image_labels(entry: SpecEntry) -> list[str]:
    """Labels of an image for a classifier: those of the whole image or, where it has none, those of its boxes."""
    return entry.labels or sorted({box.label for box in entry.boxes})


def _from_data(counts: _Counts) -> TaskDecision:
    if counts.boxed and counts.boxed >= counts.labelled:
        return TaskDecision("detection", f"{counts.boxed} of the training images have boxes.")
    if counts.boxed_test and counts.labelled and not counts.boxed:
        return _composed(counts)
    if counts.several_labels:
        reason = f"{counts.several_labels} of the training images carry several labels."
        return TaskDecision("multi_label_classification", reason)
    if counts.unlabelled:
        reason = f"{counts.unlabelled} of the training images carry no label, so an image may have none."
        return TaskDecision("multi_label_classification", reason)
    return TaskDecision("classification", "Every labelled training image carries one label.")


def _composed(counts: _Counts) -> TaskDecision:
    reason = (
        f"{counts.boxed_test} of the test images have boxes and the training images have labels only: they "
        "are taken for pictures of the objects, and scenes are composed of them."
    )
    return TaskDecision("detection", reason, composes_scenes=True)


def _impossible(description: str) -> TrainingError:
    violation = Violation(field="task", description=description)
    return TrainingError(
        "NOT_ENOUGH_DATA", f"the task that was asked for cannot be learned: {description}", [violation]
    )
