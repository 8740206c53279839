"""What the choice of test images looks at: the labels and boxes of an image, and which images look the same."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from sightsmith_labeling.annotations import Annotation
from sightsmith_labeling.splitting.near_duplicates import near_groups

# A group that is larger than this, and than half of a label's images, holds no copies: the label looks like that, as
# on the photos of a camera that never moves.
_LARGEST_SURE_GROUP = 10


# No label of a project has an empty name.
NOTHING = ""


@dataclass(frozen=True, slots=True)
class SplitImage:
    """An image that can be set aside.

    Attributes:
        labels: each label once, ordered, with the number of its boxes; 0 where it is a label of the whole image alone.
            An image with nothing on it has the label `NOTHING`, so that such images get their share too.
        dhash: 64-bit difference hash of its thumbnail; None while that was not measured.
    """

    sha256: str
    labels: tuple[tuple[str, int], ...]
    dhash: int | None = None


def split_image(sha256: str, annotations: Iterable[Annotation], signals: Mapping[str, Any] | None) -> SplitImage:
    """An image with what its row has of it.

    Args:
        sha256: of its bytes.
        annotations: all of them.
        signals: what its pixels say, as `ImageRow.signals` has it.
    """
    boxes: Counter[str] = Counter()
    for annotation in annotations:
        boxes[annotation.label] += annotation.box is not None
    digits = (signals or {}).get("dhash")
    return SplitImage(sha256, tuple(sorted(boxes.items())) or ((NOTHING, 0),), int(digits, 16) if digits else None)


class LabelCount(NamedTuple):
    """How often a label occurs."""

    images: int
    boxes: int


@dataclass(frozen=True, slots=True)
class Unit:
    """Images that stay together, and how often each label occurs in them."""

    images: Sequence[SplitImage]
    labels: Mapping[str, LabelCount]


def unit_of(images: Sequence[SplitImage]) -> Unit:
    """Makes images a unit."""
    return Unit(images, _counts_of_one(images[0].labels) if len(images) == 1 else _counts(images))


def units_of(images: Sequence[SplitImage]) -> Iterator[Unit]:
    """Puts images that look the same together, unless they are most of what a label has."""
    totals = _counts(images)
    for group in _groups(images):
        unit = unit_of(group)
        if any(count > max(_LARGEST_SURE_GROUP, totals[label].images / 2) for label, (count, _) in unit.labels.items()):
            yield from (unit_of([image]) for image in group)
        else:
            yield unit


def _counts(images: Iterable[SplitImage]) -> Mapping[str, LabelCount]:
    image_counts: Counter[str] = Counter()
    box_counts: Counter[str] = Counter()
    for image in images:
        for label, boxes in image.labels:
            image_counts[label] += 1
            box_counts[label] += boxes
    return {label: LabelCount(count, box_counts[label]) for label, count in image_counts.items()}


@lru_cache(maxsize=10_000)
def _counts_of_one(labels: tuple[tuple[str, int], ...]) -> Mapping[str, LabelCount]:
    """The counts of a single image; most images share them with many others."""
    return {label: LabelCount(1, boxes) for label, boxes in labels}


def _groups(images: Sequence[SplitImage]) -> Iterator[Sequence[SplitImage]]:
    # A picture without any edge has the hash 0, whatever it shows.
    hashed = [image for image in images if image.dhash]
    numbers = near_groups(np.array([image.dhash for image in hashed], np.uint64)).tolist()
    group_of = {image.sha256: number for image, number in zip(hashed, numbers, strict=True)}
    groups: dict[int | str, list[SplitImage]] = defaultdict(list)
    for image in images:
        groups[group_of.get(image.sha256, image.sha256)].append(image)
    return iter(groups.values())
