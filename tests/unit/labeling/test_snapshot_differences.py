from collections import Counter
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from sightsmith_labeling.annotations import Box
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.snapshots.differences import Comparison, Counts, Kind, compare
from sightsmith_labeling.snapshots.reading import SnapshotImage

LABELS = st.sampled_from([(), ("cat",), ("cat", "dog"), ("dog", "lion")])
_BOXES = [("cat", Box(1.0, 1.0, 5.0, 5.0)), ("cat", Box(2.0, 1.0, 5.0, 5.0)), ("dog", Box(1.0, 1.0, 5.0, 5.0))]
BOXES = st.lists(st.sampled_from(_BOXES), max_size=3)
PLACES = st.sets(st.tuples(st.sampled_from("abc"), st.sampled_from(Split)))


@st.composite
def snapshots(draw: st.DrawFn) -> list[SnapshotImage]:
    """Few pictures, so that two snapshots often have the same; each at most once in a split."""
    places = sorted(draw(PLACES))
    return sorted((image(sha256, split, draw(LABELS), tuple(draw(BOXES))) for sha256, split in places), key=_order)


def image(
    sha256: str, split: Split = Split.TRAIN, labels: tuple[str, ...] = (), boxes: tuple[tuple[str, Box], ...] = ()
) -> SnapshotImage:
    name = f"projects/p/datasets/{split.value}/images/{sha256}"
    return SnapshotImage(name, sha256, split, labels, boxes, f"{sha256}.jpg", 100, 100)


def _order(found: SnapshotImage) -> tuple[str, str]:
    return found.sha256, found.image


@given(snapshots())
def test_a_snapshot_is_equal_to_itself(snapshot: list[SnapshotImage]) -> None:
    comparisons = list(compare(snapshot, snapshot))
    assert {comparison.kind for comparison in comparisons} <= {Kind.UNCHANGED}
    assert len(comparisons) == len(snapshot)


@given(snapshots(), snapshots())
def test_every_image_is_compared_once_and_in_order(base: list[SnapshotImage], other: list[SnapshotImage]) -> None:
    comparisons = list(compare(base, other))
    assert sorted((found.base for found in comparisons if found.base), key=_order) == base
    assert sorted((found.other for found in comparisons if found.other), key=_order) == other
    sha256s = [comparison.image.sha256 for comparison in comparisons]
    assert sha256s == sorted(sha256s)
    # Copies are paired as far as there are copies on both sides.
    there = Counter(found.sha256 for found in base), Counter(found.sha256 for found in other)
    assert Counter(sha256s) == there[0] | there[1]


@given(snapshots(), snapshots())
def test_the_other_way_round_is_the_opposite(base: list[SnapshotImage], other: list[SnapshotImage]) -> None:
    forth, back = counts_of(compare(base, other)), counts_of(compare(other, base))
    assert forth.kinds[Kind.ADDED] == back.kinds[Kind.REMOVED]
    assert forth.kinds[Kind.REMOVED] == back.kinds[Kind.ADDED]
    assert (forth.kinds[Kind.CHANGED], forth.moved) == (back.kinds[Kind.CHANGED], back.moved)


@given(snapshots(), snapshots())
def test_what_was_added_and_removed_turns_one_into_the_other(
    base: list[SnapshotImage], other: list[SnapshotImage]
) -> None:
    for found in compare(base, other):
        labels = set(found.base.labels) if found.base else set()
        boxes = Counter(found.base.boxes) if found.base else Counter()
        assert labels - set(found.removed_labels) | set(found.added_labels) == set(
            found.other.labels if found.other else ()
        )
        assert boxes - Counter(found.removed_boxes) + Counter(found.added_boxes) == Counter(
            found.other.boxes if found.other else ()
        )


def test_a_copy_in_the_same_split_is_the_same_image() -> None:
    both = [image("a", Split.TEST, ("cat",)), image("a", Split.TRAIN, ("dog",))]
    only_train = [image("a", Split.TRAIN, ("dog",))]
    kinds = {found.kind: found.image.split for found in compare(both, only_train)}
    assert kinds == {Kind.UNCHANGED: Split.TRAIN, Kind.REMOVED: Split.TEST}


def test_a_move_is_a_change() -> None:
    (found,) = compare([image("a", Split.TRAIN, ("cat",))], [image("a", Split.TEST, ("cat",))])
    assert (found.kind, found.is_moved) == (Kind.CHANGED, True)
    assert not [*found.added_labels, *found.removed_labels]


def counts_of(comparisons: Iterable[Comparison]) -> Counts:
    counts = Counts()
    for comparison in comparisons:
        counts.add(comparison)
    return counts
