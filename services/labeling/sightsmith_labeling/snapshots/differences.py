"""What is different between two snapshots, found by reading both once, side by side."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import groupby, islice, zip_longest

from sightsmith.objects import Objects
from sightsmith_labeling.annotations import Box
from sightsmith_labeling.snapshots.reading import SnapshotImage, downloaded, read_images
from sightsmith_labeling.snapshots.snapshots import Snapshot

_IMAGES_AT_ONCE = 1000

LabelledBox = tuple[str, Box]


class Kind(Enum):
    """What became of an image."""

    ADDED = auto()
    REMOVED = auto()
    CHANGED = auto()
    UNCHANGED = auto()


@dataclass(frozen=True)
class Comparison:
    """An image in two snapshots, of which one may not have it.

    Attributes:
        base: as the first snapshot has it; None if it has not.
        other: as the second snapshot has it; None if it has not.
    """

    base: SnapshotImage | None
    other: SnapshotImage | None

    @property
    def kind(self) -> Kind:
        """What became of the image."""
        if self.base is None:
            return Kind.ADDED
        if self.other is None:
            return Kind.REMOVED
        is_same = self.base.labels == self.other.labels and self.base.boxes == self.other.boxes
        return Kind.UNCHANGED if is_same and not self.is_moved else Kind.CHANGED

    @property
    def is_moved(self) -> bool:
        """Whether both snapshots have it, each in another split."""
        return self.base is not None and self.other is not None and self.base.split != self.other.split

    @property
    def image(self) -> SnapshotImage:
        """The image as the second snapshot has it, or else the first."""
        image = self.other or self.base
        assert image is not None  # noqa: S101 - one of them has it, or there were nothing to compare
        return image

    @property
    def added_labels(self) -> Sequence[str]:
        """Labels of the whole image that only the second snapshot has, ordered."""
        return sorted(_labels(self.other) - _labels(self.base))

    @property
    def removed_labels(self) -> Sequence[str]:
        """Labels of the whole image that only the first snapshot has, ordered."""
        return sorted(_labels(self.base) - _labels(self.other))

    @property
    def added_boxes(self) -> Sequence[LabelledBox]:
        """Boxes that only the second snapshot has."""
        return list((_boxes(self.other) - _boxes(self.base)).elements())

    @property
    def removed_boxes(self) -> Sequence[LabelledBox]:
        """Boxes that only the first snapshot has."""
        return list((_boxes(self.base) - _boxes(self.other)).elements())


@dataclass
class Counts:
    """How many images are different.

    Attributes:
        kinds: images of each kind.
        moved: of those changed, the ones in another split.
    """

    kinds: Counter[Kind] = field(default_factory=Counter)
    moved: int = 0

    def add(self, comparison: Comparison) -> None:
        """Counts an image."""
        self.kinds[comparison.kind] += 1
        self.moved += comparison.is_moved


async def compare_snapshots(
    objects: Objects, base: Snapshot, other: Snapshot
) -> AsyncGenerator[Sequence[Comparison], None]:
    """Compares two snapshots, a thousand images at once; what is equal is told too.

    Raises:
        UnavailableError: if the object store cannot be reached.
    """
    async with downloaded(objects, base) as left, downloaded(objects, other) as right:
        comparisons = compare(read_images(left, base), read_images(right, other))
        while batch := await asyncio.to_thread(lambda: list(islice(comparisons, _IMAGES_AT_ONCE))):
            yield batch


def compare(base: Iterable[SnapshotImage], other: Iterable[SnapshotImage]) -> Iterator[Comparison]:
    """Compares two snapshots, each of them in the order of SHA-256, and yields their images in that order.

    Images are the same if their bytes are: neither a new name nor a move to another dataset makes another image.
    """
    bases, others = groupby(base, key=_sha256), groupby(other, key=_sha256)
    left, right = next(bases, None), next(others, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left[0] < right[0]):
            yield from (Comparison(image, None) for image in _members(left))
            left = next(bases, None)
        elif left is None or right[0] < left[0]:
            yield from (Comparison(None, image) for image in _members(right))
            right = next(others, None)
        else:
            yield from _match(list(left[1]), list(right[1]))
            left, right = next(bases, None), next(others, None)


def _match(bases: list[SnapshotImage], others: list[SnapshotImage]) -> Iterator[Comparison]:
    """Pairs copies of one image: those in the same split first, because both datasets may have a copy."""
    for base in list(bases):
        if (same := next((other for other in others if other.split == base.split), None)) is not None:
            bases.remove(base)
            others.remove(same)
            yield Comparison(base, same)
    yield from (Comparison(base, other) for base, other in zip_longest(bases, others))


def _members(group: tuple[str, Iterator[SnapshotImage]] | None) -> Iterator[SnapshotImage]:
    return iter(()) if group is None else group[1]


def _sha256(image: SnapshotImage) -> str:
    return image.sha256


def _labels(image: SnapshotImage | None) -> set[str]:
    return set(image.labels) if image is not None else set()


def _boxes(image: SnapshotImage | None) -> Counter[LabelledBox]:
    return Counter(image.boxes if image is not None else ())
