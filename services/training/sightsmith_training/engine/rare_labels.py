"""Labels with too few images to learn from, and a training without them. Needs no torch: the worker asks, too."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sightsmith_training.engine.specification import SpecEntry
from sightsmith_training.engine.tasks import TaskDecision, image_labels


@dataclass(frozen=True)
class LeftOut:
    """What a training does without.

    Attributes:
        labels: with too few images, sorted.
        images: how many have no other labels, and went with them.
        boxes: how many such boxes are on the other images.
    """

    labels: Sequence[str] = ()
    images: int = 0
    boxes: int = 0


def leave_out_rare_labels(
    entries: Sequence[SpecEntry], decision: TaskDecision, min_images_per_label: int
) -> tuple[list[SpecEntry], LeftOut]:
    """Takes labels with too few training images away.

    An image of which nothing is left goes with them: what it shows is still on it, so it is no background either. Nor
    are the places of their boxes on other images, which keep them as `left_out_boxes`.

    Args:
        entries: of the snapshot.
        decision: what is to be trained; where scenes are composed, one picture of a label is enough.
        min_images_per_label: training images that each label needs otherwise.

    Returns:
        The other entries, and what was left out.
    """
    counts = Counter(
        label for entry in entries if entry.split == "train" for label in set(_taught_labels(entry, decision))
    )
    least = 1 if decision.composes_scenes else min_images_per_label
    rare = {label for entry in entries for label in _labels(entry) if counts[label] < least}
    if not rare:
        return list(entries), LeftOut()
    kept = [less for entry in entries if (less := _without(entry, rare)) is not None]
    boxes = sum(box.label in rare for entry in kept for box in entry.left_out_boxes)
    return kept, LeftOut(sorted(rare), len(entries) - len(kept), boxes)


def told_of_left_out(left_out: Sequence[LeftOut], min_images_per_label: int) -> list[str]:
    """What the training had to do without, for people; nothing if no label was left out."""
    labels = sorted(label for each in left_out for label in each.labels)
    if not labels:
        return []
    images, boxes = sum(each.images for each in left_out), sum(each.boxes for each in left_out)
    named = ", ".join(f"'{label}'" for label in labels)
    told = [
        f"Labels with fewer than {min_images_per_label} training images were left out: {named}",
        f"images on which nothing else is labelled went with them: {images}" if images else "",
        f"their boxes on other images are neither learned nor taken for background: {boxes}" if boxes else "",
    ]
    return ["; ".join(filter(None, told))]


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
    if not (labels or boxes):
        return None
    left_out = [*entry.left_out_boxes, *(box for box in entry.boxes if box.label in rare)]
    return entry.model_copy(update={"labels": labels, "boxes": boxes, "left_out_boxes": left_out})
