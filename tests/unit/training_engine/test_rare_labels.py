"""Trainings without the labels of which there are too few images."""

import pytest

from sightsmith_training.engine.rare_labels import LeftOut, leave_out_rare_labels, told_of_left_out
from sightsmith_training.engine.specification import SpecBox, SpecEntry
from sightsmith_training.engine.tasks import TaskDecision

CLASSIFIES = TaskDecision("multi_label_classification", "")
DETECTS = TaskDecision("detection", "")
COMPOSES = TaskDecision("detection", "", composes_scenes=True)


def entry(*labels: str, split: str = "train", boxes: tuple[str, ...] = ()) -> SpecEntry:
    return SpecEntry(
        image="projects/p/datasets/d/images/i",
        sha256="0" * 64,
        key="k",
        split=split,
        labels=list(labels),
        boxes=[SpecBox(label=label, left=0, top=0, width=9, height=9) for label in boxes],
    )


def test_images_of_rare_labels_alone_go_and_the_others_lose_the_label() -> None:
    entries = [entry("cat"), entry("cat"), entry("cat", "dog"), entry("dog"), entry(), entry("yak", split="test")]
    kept, left_out = leave_out_rare_labels(entries, CLASSIFIES, 3)
    assert left_out == LeftOut(["dog", "yak"], images=2)
    assert [each.labels for each in kept] == [["cat"], ["cat"], ["cat"], []]
    assert told_of_left_out([left_out], 3) == [
        "Labels with fewer than 3 training images were left out: 'dog', 'yak'; images on which nothing else is "
        "labelled went with them: 2",
    ]


def test_detectors_count_images_with_boxes_and_composed_scenes_pictures() -> None:
    entries = [entry(boxes=("cat", "cat")), entry(boxes=("cat", "dog")), entry("dog"), entry(boxes=("dog",))]
    kept, left_out = leave_out_rare_labels([*entries, entry("yak", boxes=("cat",))], DETECTS, 3)
    assert left_out == LeftOut(["dog", "yak"], images=2, boxes=1)
    assert [[box.label for box in each.boxes] for each in kept] == [["cat", "cat"], ["cat"], ["cat"]]
    assert [[box.label for box in each.left_out_boxes] for each in kept] == [[], ["dog"], []]
    assert told_of_left_out([left_out], 3)[0].endswith("are neither learned nor taken for background: 1")
    pictures = [entry("cat"), entry("dog"), entry(split="test", boxes=("cat", "owl"))]
    kept, left_out = leave_out_rare_labels(pictures, COMPOSES, 3)
    assert left_out.labels == ["owl"]
    assert [box.label for box in kept[2].boxes] == ["cat"]


@pytest.mark.parametrize("decision", [CLASSIFIES, DETECTS, COMPOSES])
def test_enough_is_left_as_it_is(decision: TaskDecision) -> None:
    entries = [entry("cat", boxes=("cat",))] * 3 + [entry()]
    assert leave_out_rare_labels(entries, decision, 3) == (entries, LeftOut())
    assert told_of_left_out([LeftOut()], 3) == []


def test_what_falls_short_later_is_told_with_the_rest() -> None:
    kept, first = leave_out_rare_labels([entry(boxes=("cat", "cow", "dog")), entry(boxes=("cat", "cow"))], DETECTS, 2)
    kept, second = leave_out_rare_labels([kept[0], entry(boxes=("cat",))], DETECTS, 2)
    assert [box.label for box in kept[0].left_out_boxes] == ["dog", "cow"]
    assert told_of_left_out([first, second], 2)[0].endswith(
        "'cow', 'dog'; their boxes on other images are neither learned nor taken for background: 2"
    )
