from collections import Counter
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from sightsmith.names import ImageName
from sightsmith_labeling.annotations import Box, NewAnnotation, Origin, numbered, whole_image_labels
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.snapshots.manifest import ordered_boxes
from sightsmith_labeling.snapshots.reading import SnapshotImage
from sightsmith_labeling.snapshots.restore_plan import Fate, PresentImage, Restoration, plan

BEFORE, NOW = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 2, tzinfo=UTC)
BOX = Box(1.0, 2.0, 3.0, 4.0)
PLACES = st.sampled_from([None, BOX, Box(2.0, 2.0, 3.0, 4.0)])
CONTENTS = st.lists(st.tuples(st.sampled_from(["cat", "dog"]), PLACES), max_size=6)


def wanted(*contents: tuple[str, Box | None], dataset: str = "train", image: str = "i") -> SnapshotImage:
    annotations = numbered([NewAnnotation(label, box) for label, box in contents], 0, BEFORE)
    name = str(ImageName("p", dataset, image))
    labels, boxes = whole_image_labels(annotations), tuple(ordered_boxes(annotations))
    return SnapshotImage(name, "sha", Split.TRAIN, labels, boxes, "a.jpg", 9, 9)


def present(*contents: tuple[str, Box | None], dataset: str = "train", image: str = "i", key: int = 1) -> PresentImage:
    new = [NewAnnotation(label, box, Origin.PERSON, "ann") for label, box in contents]
    annotations = numbered(new, 10, BEFORE)
    return PresentImage(key, ImageName("p", dataset, image), "a.jpg", annotations, 10 + len(new))


@given(CONTENTS, CONTENTS)
def test_the_annotations_are_what_the_snapshot_says(
    then: list[tuple[str, Box | None]], now: list[tuple[str, Box | None]]
) -> None:
    image, there = wanted(*then), present(*now)
    annotations = Restoration(image, there).annotations("the snapshot", NOW)
    assert whole_image_labels(annotations) == image.labels
    assert tuple(ordered_boxes(annotations)) == image.boxes
    ids = [annotation.id for annotation in annotations]
    assert len(set(ids)) == len(ids)
    # What stays keeps everything; what is new has an id that was never given before.
    for annotation in annotations:
        if annotation not in there.annotations:
            assert (annotation.author, annotation.origin, annotation.create_time) == ("the snapshot", "import", NOW)
            assert annotation.id > there.last_annotation
    common = Counter(annotation.content for annotation in annotations) & Counter(
        annotation.content for annotation in there.annotations
    )
    assert sum(annotation in there.annotations for annotation in annotations) == common.total()


@given(CONTENTS)
def test_nothing_is_done_where_nothing_changed(contents: list[tuple[str, Box | None]]) -> None:
    unique = list(dict.fromkeys(contents))
    assert Restoration(wanted(*unique), present(*unique)).fate == Fate.UNCHANGED


def test_each_fate() -> None:
    image = wanted(("cat", None), ("cat", BOX))
    assert Restoration(image, None).fate == Fate.RETURNED
    assert Restoration(image, present(("cat", None))).fate == Fate.CHANGED
    assert Restoration(image, present(("cat", None), ("cat", BOX), dataset="test")).fate == Fate.MOVED
    assert Restoration(image, present(("cat", BOX), ("cat", None))).fate == Fate.UNCHANGED


def test_a_copy_in_the_same_dataset_is_the_image_whatever_its_name() -> None:
    again, elsewhere = present(image="new", key=1), present(dataset="test", key=2)
    (found,) = plan([wanted()], [elsewhere, again])
    assert found.present == again
    (found,) = plan([wanted()], [elsewhere])
    assert found.present == elsewhere
    assert [found.present for found in plan([wanted(), wanted(dataset="test")], [elsewhere])] == [None, elsewhere]
