"""Trainings without the labels of which there are too few images."""

import pytest

from sightsmith_training.engine.rare_labels import leave_out_rare_labels, told_of_left_out
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
    assert left_out == ["dog", "yak"]
    assert [each.labels for each in kept] == [["cat"], ["cat"], ["cat"], []]
    assert told_of_left_out(left_out, 3) == [
        "Labels with fewer than 3 training images were left out: 'dog', 'yak'",
    ]


def test_detectors_count_images_with_boxes_and_composed_scenes_pictures() -> None:
    entries = [entry(boxes=("cat", "cat")), entry(boxes=("cat", "dog")), entry("dog"), entry(boxes=("dog",))]
    kept, left_out = leave_out_rare_labels([*entries, entry("yak", boxes=("cat",))], DETECTS, 3)
    assert left_out == ["dog", "yak"]
    assert [[box.label for box in each.boxes] for each in kept] == [["cat", "cat"], ["cat"], ["cat"]]
    pictures = [entry("cat"), entry("dog"), entry(split="test", boxes=("cat", "owl"))]
    kept, left_out = leave_out_rare_labels(pictures, COMPOSES, 3)
    assert left_out == ["owl"]
    assert [box.label for box in kept[2].boxes] == ["cat"]


@pytest.mark.parametrize("decision", [CLASSIFIES, DETECTS, COMPOSES])
def test_enough_is_left_as_it_is(decision: TaskDecision) -> None:
    entries = [entry("cat", boxes=("cat",))] * 3 + [entry()]
    assert leave_out_rare_labels(entries, decision, 3) == (entries, [])
    assert told_of_left_out([], 3) == []
