"""Labels with too few images to learn from, and a training without them. Needs no torch: the worker asks, too."""

from collections import Counter
from collections.abc import Iterable, Sequence

from sightsmith_training.engine.specification import SpecEntry
from sightsmith_training.engine.tasks import TaskDecision, image_labels


def leave_out_rare_labels(
    entries: Sequence[SpecEntry], decision: TaskDecision, min_images_per_label: int
) -> tuple[list[SpecEntry], list[str]]:
    """Takes labels with too few training images away.

    An image of which nothing is left goes with them: what it shows is still on it, so it is no background either.

    Args:
        entries: of the snapshot.
        decision: what is to be trained; where scenes are composed, one picture of a label is enough.
        min_images_per_label: training images that each label needs otherwise.

    Returns:
        The other entries, and the names of the labels that were left out, sorted.
    """
    counts = Counter(
        label for entry in entries if entry.split == "train" for label in set(_taught_labels(entry, decision))
    )
    least = 1 if decision.composes_scenes else min_images_per_label
    rare = {label for entry in entries for label in _labels(entry) if counts[label] < least}
    if not rare:
        return list(entries), []
    return [kept for entry in entries if (kept := _without(entry, rare)) is not None], sorted(rare)


def told_of_left_out(labels: Sequence[str], min_images_per_label: int) -> list[str]:
    """What the training had to do without, for people; nothing if no label was left out."""
    if not labels:
        return []
    named = ", ".join(f"'{label}'" for label in labels)
    return [f"Labels with fewer than {min_images_per_label} training images were left out: {named}"]


def _taught_labels(entry: SpecEntry, decision: TaskDecision) -> Iterable[str]:
    if decision.task == "detection" and not decision.composes_scenes:
        return (box.label for box in entry.boxes)
    return image_labels(entry)


def _labels(entry: SpecEntry) -> Iterable[str]:
    yield from entry.labels
    yield from (box.label for box in entry.boxes)


def _without(entry: SpecEntry, rare: set[str]) -> SpecEntry | None:
    if rare.isdisjoint(_labels(entry)):
        return entry
    labels = [label for label in entry.labels if label not in rare]
    boxes = [box for box in entry.boxes if box.label not in rare]
    return entry.model_copy(update={"labels": labels, "boxes": boxes}) if labels or boxes else None
