"""Which images of a snapshot a model is judged by."""

import pytest

from sightsmith_training.engine.contract import Violation
from sightsmith_training.engine.errors import TrainingError
from sightsmith_training.engine.specification import SpecBox, SpecEntry
from sightsmith_training.evaluations.selection import WantedImages, labels_on, select_images

LABELS = ("cat", "dog")
ALL = WantedImages()


def box(label: str, width: float = 5) -> SpecBox:
    return SpecBox(label=label, left=1, top=1, width=width, height=5)


def entry(number: int, **values: object) -> SpecEntry:
    given = {
        "image": f"projects/p/datasets/{'test' if number % 2 else 'train'}/images/i-{number}",
        "sha256": f"{number:064x}",
        "key": f"images/{number}",
        "split": "test" if number % 2 else "train",
        "width": 20,
        "height": 10,
    }
    return SpecEntry(**given | values)


def names(entries: list[SpecEntry]) -> list[int]:
    return [int(entry.image.rpartition("-")[2]) for entry in entries]


def test_of_one_label_an_image_are_those_with_exactly_one() -> None:
    entries = [entry(0, labels=["cat"]), entry(1, labels=["cat", "dog"]), entry(2), entry(3, boxes=[box("elk")])]
    selected = select_images(entries, ALL, "classification", LABELS, set())
    assert names(selected.entries) == [0, 3]
    assert (selected.ignored, selected.learned) == (2, 0)
    assert [labels_on(each) for each in selected.entries] == [["cat"], ["elk"]], "boxes tell what is on an image, too"


def test_of_several_labels_are_all() -> None:
    entries = [entry(0, labels=["cat", "dog"]), entry(1), entry(2, labels=["elk"])]
    selected = select_images(entries, ALL, "multi_label_classification", LABELS, set())
    assert names(selected.entries) == [0, 1, 2]


def test_of_boxes_are_those_with_boxes_and_those_with_nothing_at_all() -> None:
    entries = [
        *(entry(number, boxes=[box("cat"), box("elk")], labels=["dog"]) for number in range(4)),
        entry(5),
        entry(6, labels=["cat"]),
        entry(7, boxes=[box("cat", width=0)]),
        entry(8, width=0, height=0),
    ]
    selected = select_images(entries, ALL, "detection", LABELS, set())
    assert names(selected.entries) == [0, 1, 2, 3, 5]
    assert selected.ignored == 2
    assert [flaw.field for flaw in selected.flawed] == [f"{entries[6].image}.boxes[0]"]
    assert labels_on(selected.entries[0]) == ["cat", "elk"], "what has no box is not looked for"


def test_images_that_were_learned_from_are_left_out() -> None:
    entries = [entry(number, labels=["cat"]) for number in range(6)]
    selected = select_images(entries, ALL, "classification", LABELS, {entries[0].sha256, entries[5].sha256})
    assert (names(selected.entries), selected.learned) == ([1, 2, 3, 4], 2)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (WantedImages(split="test"), [1, 3, 5]),
        (WantedImages(split="train"), [0, 2, 4]),
        (WantedImages(datasets=("projects/p/datasets/train",)), [0, 2, 4]),
        (WantedImages(datasets=("projects/p/datasets/train", "projects/p/datasets/test")), [0, 1, 2, 3, 4, 5]),
    ],
)
def test_only_what_is_asked_for_counts(wanted: WantedImages, expected: list[int]) -> None:
    entries = [entry(number, labels=["cat"]) for number in range(6)]
    selected = select_images(entries, wanted, "classification", LABELS, set())
    assert (names(selected.entries), selected.ignored, selected.learned) == (expected, 0, 0)


def test_without_a_label_that_the_model_knows_there_is_nothing_to_judge_by() -> None:
    learned = entry(0, labels=["cat"])
    entries = [learned, entry(1, labels=["elk"]), entry(2, labels=["elk", "cat"])]
    with pytest.raises(TrainingError) as caught:
        select_images(entries, ALL, "classification", LABELS, {learned.sha256})
    failure = caught.value.failure
    assert failure.reason == "NOT_ENOUGH_DATA"
    assert "of 3 images 1 were learned from, 1 are not labelled as the model answers" in failure.message
    assert failure.metadata["unknown_labels"] == "elk"
    with pytest.raises(TrainingError, match="no other one has boxes that the model knows"):
        select_images([entry(1, labels=["cat"])], ALL, "detection", LABELS, set())


def test_too_many_boxes_that_cannot_be_right_are_a_failure() -> None:
    entries = [entry(0, boxes=[box("cat")]), entry(1, boxes=[box("cat", width=0)])]
    with pytest.raises(TrainingError) as caught:
        select_images(entries, ALL, "detection", LABELS, set())
    assert caught.value.failure.reason == "TOO_MANY_UNUSABLE_IMAGES"


def test_unknown_labels_are_counted_on_judged_images() -> None:
    entries = [entry(number, labels=[label]) for number, label in enumerate(["cat", "elk", "elk", "bee", "elk"])]
    selected = select_images(entries, ALL, "classification", LABELS, set())
    unread = [Violation(field=entries[4].image, description="is gone")]
    told = selected.judged(unread, LABELS, 1)
    assert told.unknown_labels == {"bee": 1, "elk": 2}
    assert (told.unusable, told.unusable_count) == (tuple(unread), 1)
    assert selected.judged(unread * 3, LABELS, 1).unusable_count == 3
