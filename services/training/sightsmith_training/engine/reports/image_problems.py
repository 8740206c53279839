"""Why images of a snapshot were not used, in Custom Labels' terms."""

import re
from collections.abc import Iterable, Mapping, Sequence

from sightsmith_training.engine.contract import Violation
from sightsmith_training.engine.reports.custom_labels import Problem
from sightsmith_training.engine.specification import SpecEntry, Task
from sightsmith_training.engine.tasks import image_labels

# A violation of one box names it as in `projects/p/datasets/d/images/i.boxes[2]`.
_BOX_FIELD = re.compile(r"(?P<image>.+)\.boxes\[(?P<box>[0-9]+)\]")


def image_problems(
    entries: Sequence[SpecEntry], task: Task, unusable: Iterable[Violation]
) -> Mapping[str, Sequence[Problem]]:
    """What kept images from being used, by their resource names.

    Args:
        entries: of the snapshot.
        task: what was trained.
        unusable: images and boxes that a training could not use, as its result lists them.
    """
    problems: dict[str, list[Problem]] = {}
    for violation in unusable:
        image, found = _of_violation(violation)
        problems.setdefault(image, []).extend(found)
    learns_from_labels = task == "detection" and not any(entry.boxes for entry in entries if entry.split == "train")
    for entry in entries:
        of_no_use = _of_no_use(entry, task, learns_from_labels=learns_from_labels and entry.split == "train")
        if of_no_use is not None and entry.image not in problems:
            problems[entry.image] = [of_no_use]
    return problems


def _of_violation(violation: Violation) -> tuple[str, list[Problem]]:
    of_box = _BOX_FIELD.fullmatch(violation.field)
    if of_box is None:
        return violation.field, [Problem("ERROR_INVALID_IMAGE", f"The image {violation.description}.")]
    description = f"The box {violation.description}."
    return of_box["image"], [
        Problem("ERROR_INVALID_BOUNDING_BOX", description, box=int(of_box["box"])),
        Problem("ERROR_NO_VALID_ANNOTATIONS", "The image was not used because of a box that cannot be right."),
    ]


def _of_no_use(entry: SpecEntry, task: Task, *, learns_from_labels: bool) -> Problem | None:
    """What makes an image one of those that a training ignores; None for one that it uses."""
    if task == "detection":
        if entry.boxes or not entry.labels or learns_from_labels:
            return None
        return Problem("WARNING_NO_ATTRIBUTE_ANNOTATIONS", "The image has labels and no boxes, which the model finds.")
    labels = image_labels(entry)
    if task == "multi_label_classification" or len(labels) == 1:
        return None
    if labels:
        return Problem("WARNING_NO_ANNOTATIONS", "The image has several labels, of which the model gives one.")
    return Problem("WARNING_UNANNOTATED_RECORD", "The image has no label.")
