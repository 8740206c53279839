"""Which pictures scenes are composed of, and what is said where they do not fit the test images."""

import numpy as np
import pytest

from sightsmith_training.engine.brand_samples import require_pictures, select_brand_samples
from sightsmith_training.engine.detection_samples import DetectionSamples
from sightsmith_training.engine.errors import TrainingError
from sightsmith_training.engine.specification import SpecEntry

from .test_detection_samples import CAT, DOG, entry


def select(*entries: SpecEntry) -> DetectionSamples:
    return select_brand_samples(entries, 0.2)


def picture(name: str, *labels: str) -> SpecEntry:
    return entry(name, labels=labels)


TEST = entry("t", CAT, split="test")


def test_a_picture_is_one_box_and_images_without_label_are_backgrounds() -> None:
    samples = select(picture("a", "cat"), picture("b", "dog"), picture("c", "cat"), entry("meadow"), TEST)
    assert samples.labels == ["cat", "dog"]
    assert samples.images_by_label() == [2, 1]
    assert (samples.training, samples.test) == (4, 1)
    assert samples.labelling(0).boxes == pytest.approx(np.array([[0, 0, 1, 1]]))
    assert samples.labelling(3).boxes.shape == (0, 4)


def test_test_images_are_taken_as_for_any_detector() -> None:
    samples = select(picture("a", "cat"), TEST, entry("vague", split="test", labels=("cat",)), entry("e", split="test"))
    assert [each.image for each in samples.entries] == ["a", "e", "t"]
    assert samples.ignored == 1


def test_a_picture_of_unknown_size_is_taken_for_a_square() -> None:
    old = picture("a", "cat").model_copy(update={"width": 0, "height": 0})
    assert select(old, TEST).entries[0].width == 1


def test_labels_of_test_boxes_without_a_picture_are_named() -> None:
    with pytest.raises(TrainingError, match="'dog'") as refusal:
        select(picture("a", "cat"), TEST, entry("u", DOG, split="test"))
    assert refusal.value.failure.reason == "NOT_ENOUGH_DATA"
    assert [violation.field for violation in refusal.value.failure.violations] == ["labels['dog']"]


def test_a_picture_with_several_labels_is_left_out_and_named() -> None:
    pictures = [picture(name, "cat") for name in "abcd"]
    samples = select(*pictures, picture("both", "cat", "dog"), TEST)
    assert [violation.field for violation in samples.flawed] == ["both"]
    assert "carries 2 labels" in samples.flawed[0].description
    assert samples.training == 4


def test_too_many_pictures_with_several_labels_are_refused() -> None:
    with pytest.raises(TrainingError, match="both carries 2 labels") as refusal:
        select(picture("a", "cat"), picture("both", "cat", "dog"), TEST)
    assert refusal.value.failure.reason == "TOO_MANY_UNUSABLE_IMAGES"


def test_without_test_images_there_is_nothing_to_judge_by() -> None:
    samples = select(picture("a", "cat"), TEST)
    with pytest.raises(TrainingError, match="judged by nothing else"):
        require_pictures(samples.without([TEST]))
