"""Whether labels and boxes of different makers mean the same thing."""

from collections.abc import Sequence

from sightsmith_labeling.annotations import Box

# A label, and the box that it is on; None for the whole image.
Content = tuple[str, Box | None]

# The customary threshold of object detection, after the PASCAL VOC challenge (Everingham et al., 2010).
SAME_OVERLAP = 0.5


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes: 0 for none in common, 1 for the same."""
    width = min(one.left + one.width, other.left + other.width) - max(one.left, other.left)
    height = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return common / (one.width * one.height + other.width * other.height - common)


def unmatched(some: Sequence[Content], others: Sequence[Content]) -> tuple[Sequence[Content], Sequence[Content]]:
    """What is left of two makers' labels once those that mean the same thing are paired, one to one.

    A label of the whole image means the same as itself. A box means the same as one of the same label with which it
    overlaps by at least `SAME_OVERLAP`; the greatest overlaps are paired first.

    Returns:
        What only the first says, and what only the other says, in their order.
    """
    pairs = sorted(
        (-affinity, place, other_place)
        for place, content in enumerate(some)
        for other_place, other in enumerate(others)
        if (affinity := _affinity(content, other)) >= SAME_OVERLAP
    )
    paired: set[int] = set()
    others_paired: set[int] = set()
    for _, place, other_place in pairs:
        if place not in paired and other_place not in others_paired:
            paired.add(place)
            others_paired.add(other_place)
    return (
        [content for place, content in enumerate(some) if place not in paired],
        [content for place, content in enumerate(others) if place not in others_paired],
    )


def _affinity(one: Content, other: Content) -> float:
    (label, box), (other_label, other_box) = one, other
    if label != other_label or (box is None) != (other_box is None):
        return 0.0
    return 1.0 if box is None or other_box is None else overlap(box, other_box)
