"""Boxes that look like a slip of the hand: tiny, as large as the image, or drawn twice."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from sightsmith_labeling.annotations import Annotation, Box
from sightsmith_labeling.jobs.finding import Finding, Severity
from sightsmith_labeling.validation.quality_rules import QualityRules

# A square of this side is the largest table of overlaps that is made at once: 8 MiB.
_COMPARED_AT_ONCE = 1024

Places = npt.NDArray[np.int64]


def suspicious_boxes(
    image: str, size: tuple[int, int] | None, annotations: Sequence[Annotation], rules: QualityRules
) -> Iterator[Finding]:
    """Tells what is odd about the boxes of an image.

    Args:
        image: its name.
        size: its width and height in pixels; None while they are not known.
        annotations: all that are on it.
        rules: the thresholds.
    """
    boxes = [(annotation, annotation.box) for annotation in annotations if annotation.box is not None]
    if size is not None:
        for annotation, box in boxes:
            yield from _odd_size(image, annotation, box, size, rules)
    by_label: dict[str, list[tuple[Annotation, Box]]] = defaultdict(list)
    for annotation, box in boxes:
        by_label[annotation.label].append((annotation, box))
    for same_label in by_label.values():
        yield from _drawn_twice(image, same_label, rules)


def _odd_size(
    image: str, annotation: Annotation, box: Box, size: tuple[int, int], rules: QualityRules
) -> Iterator[Finding]:
    share = box.width * box.height / (size[0] * size[1])
    details = {"annotation": _name(image, annotation), "label": annotation.label, "share": round(share, 6)}
    if share < rules.min_box_share:
        message = f"the box of {annotation.label!r} is tiny: {share:.3%} of the image"
        yield Finding(Severity.WARNING, "WARNING_TINY_BOX", message, resource=image, details=details)
    if share > rules.max_box_share:
        message = f"the box of {annotation.label!r} covers the image: {share:.1%} of it"
        yield Finding(Severity.WARNING, "WARNING_BOX_COVERS_IMAGE", message, resource=image, details=details)


def _drawn_twice(image: str, boxes: Sequence[tuple[Annotation, Box]], rules: QualityRules) -> Iterator[Finding]:
    """Each box that lies on an earlier one of the same label."""
    corners = np.array([(b.left, b.top, b.left + b.width, b.top + b.height) for _, b in boxes])
    for begin in range(0, len(boxes), _COMPARED_AT_ONCE):
        of_these = corners[begin : begin + _COMPARED_AT_ONCE]
        for earlier_begin in range(0, begin + 1, _COMPARED_AT_ONCE):
            overlap = _overlap(of_these, corners[earlier_begin : earlier_begin + _COMPARED_AT_ONCE])
            # Below the diagonal of the whole table: a box is compared with those before it only.
            overlap = np.tril(overlap, begin - earlier_begin - 1)
            for place, earlier in zip(*np.nonzero(overlap > rules.same_box_overlap), strict=True):
                one, other = boxes[begin + place][0], boxes[earlier_begin + earlier][0]
                value = float(overlap[place, earlier])
                message = f"two boxes of {one.label!r} lie on each other: {value:.0%} overlap"
                details = {
                    "annotation": _name(image, one),
                    "other_annotation": _name(image, other),
                    "label": one.label,
                    "overlap": round(value, 4),
                }
                yield Finding(Severity.WARNING, "WARNING_DUPLICATE_BOX", message, resource=image, details=details)


def _overlap(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Intersection over union of boxes [n, 4] with boxes [m, 4], given by their corners, as [n, m]."""
    begin = np.maximum(one[:, None, :2], other[None, :, :2])
    end = np.minimum(one[:, None, 2:], other[None, :, 2:])
    intersection = np.clip(end - begin, 0, None).prod(axis=2)
    areas = [(corners[:, 2:] - corners[:, :2]).prod(axis=1) for corners in (one, other)]
    union = areas[0][:, None] + areas[1][None, :] - intersection
    overlap: npt.NDArray[np.float64] = intersection / np.maximum(union, 1e-12)
    return overlap


def _name(image: str, annotation: Annotation) -> str:
    return f"{image}/annotations/{annotation.id}"
