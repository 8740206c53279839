"""Which images a detector learns from, and what is wrong with the others."""

import numpy as np
import pytest

from sightsmith_training.engine.detection_samples import select_detection_samples
from sightsmith_training.engine.errors import TrainingError
from sightsmith_training.engine.specification import SpecBox, SpecEntry, Split


def box(label: str, left: float, top: float, width: float, height: float) -> SpecBox:
    return SpecBox(label=label, left=left, top=top, width=width, height=height)


def entry(name: str, *boxes: SpecBox, split: Split = "train", labels: tuple[str, ...] = ()) -> SpecEntry:
    return SpecEntry(
        image=name,
        sha256=f"{sum(name.encode()):064x}",
        key=name,
        split=split,
        labels=list(labels),
        boxes=list(boxes),
        width=200,
        height=100,
    )


CAT = box("cat", 20, 10, 100, 50)
DOG = box("dog", 150, 50, 80, 60)


def test_boxes_become_shares_of_the_image_and_are_cut_at_its_edges() -> None:
    samples = select_detection_samples([entry("a", CAT, DOG)], 0.2)
    assert samples.labels == ["cat", "dog"]
    labelling = samples.labelling(0)
    assert labelling.boxes == pytest.approx(np.array([[0.1, 0.1, 0.6, 0.6], [0.75, 0.5, 1, 1]]))
    assert labelling.labels.tolist() == [0, 1]
    judged = samples.labelled_image(0)
    assert judged.boxes.tolist() == [[20, 10, 120, 60], [150, 50, 230, 110]]


def test_images_with_nothing_on_them_are_background_and_those_with_labels_only_are_ignored() -> None:
    samples = select_detection_samples([entry("a", CAT), entry("b"), entry("c", labels=("cat",))], 0.2)
    assert [each.image for each in samples.entries] == ["a", "b"]
    assert (samples.training, samples.test, samples.ignored) == (2, 0, 1)
    assert samples.labelling(1).boxes.shape == (0, 4)


def test_training_images_come_first_in_an_order_of_their_contents() -> None:
    entries = [entry("t", CAT, split="test"), entry("b", CAT), entry("a", DOG, DOG)]
    for given in (entries, entries[::-1]):
        samples = select_detection_samples(given, 0.2)
        assert [each.image for each in samples.entries] == ["a", "b", "t"]
        assert samples.images_by_label() == [1, 1]


def test_a_flawed_box_spoils_its_image_alone() -> None:
    flat = entry("flat", CAT, box("cat", 5, 5, 0, 9))
    samples = select_detection_samples([flat, *(entry(name, CAT) for name in "abcd")], 0.2)
    assert [each.image for each in samples.entries] == ["a", "b", "c", "d"]
    assert [(flaw.field, flaw.description) for flaw in samples.flawed] == [
        ("flat.boxes[1]", "has no area: 0 × 9 pixels")
    ]


def test_too_many_flawed_images_are_refused_by_name() -> None:
    outside = entry("far", box("cat", 300, 5, 10, 10))
    with pytest.raises(TrainingError, match=r"far.*lies outside its image of 200 × 100 pixels") as refusal:
        select_detection_samples([outside, entry("a", CAT)], 0.2)
    assert refusal.value.failure.reason == "TOO_MANY_UNUSABLE_IMAGES"
    assert refusal.value.failure.metadata["unusable"] == "1"


def test_a_label_with_boxes_on_too_few_images_is_refused() -> None:
    samples = select_detection_samples([entry("a", CAT, DOG), entry("b", CAT), entry("c", CAT)], 0.2)
    with pytest.raises(TrainingError) as refusal:
        samples.require_enough(2)
    assert [violation.field for violation in refusal.value.failure.violations] == ["labels['dog']"]
    samples.require_enough(1)


def test_what_cannot_be_read_is_left_out() -> None:
    samples = select_detection_samples([entry("a", CAT), entry("b", CAT), entry("t", CAT, split="test")], 0.2)
    left = samples.without([samples.entries[0]])
    assert ([each.image for each in left.entries], left.training, left.test) == (["b", "t"], 1, 1)
