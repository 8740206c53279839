"""A detector takes another one's place if it is better by more than chance."""

import numpy as np
import pytest

from sightsmith_training.engine.detection.choosing import is_better, standard_error_of_gain
from sightsmith_training.engine.detection.judgement import Judgement, judge
from sightsmith_training.engine.detection.labelling import Labelling
from sightsmith_training.engine.judging.answers import Detections

_BOX = np.array([[0.2, 0.2, 0.6, 0.6]], np.float32)


def _judged(found: list[bool]) -> Judgement:
    """One box an image, which is found exactly, or not at all."""
    labellings = [Labelling(_BOX, np.array([image % 2])) for image in range(len(found))]
    boxes = (_BOX * 100).astype(np.float64)
    detections = [
        Detections(boxes if is_found else boxes + 60, np.array([image % 2]), np.array([0.9 - image / 1000]))
        for image, is_found in enumerate(found)
    ]
    return judge(np.arange(len(found)), detections, labellings, [(100, 100)] * len(found), labels=2)


def test_a_detector_is_no_better_than_itself() -> None:
    one = _judged([True, True, False, True] * 5)
    assert standard_error_of_gain(one.matches, one.matches, seed=0) == 0
    assert not is_better(one, one, preference="speed", seed=0)


@pytest.mark.parametrize(("times", "better"), [(1, False), (20, True)])
def test_a_gain_counts_if_there_are_enough_images_to_show_it(times: int, better: bool) -> None:
    # Of every ten images one more is found, and none less.
    before = _judged(([True] * 7 + [False] * 3) * times)
    after = _judged(([True] * 8 + [False] * 2) * times)
    assert after.map_50_95 > before.map_50_95 + 0.05
    assert is_better(after, before, preference="speed", seed=0) is better
    assert not is_better(before, after, preference="speed", seed=0)


def test_the_error_shrinks_with_the_root_of_the_images() -> None:
    few, many = (
        standard_error_of_gain(
            _judged([True, False, True, True] * count).matches, _judged([True, True, False, True] * count).matches, 0
        )
        for count in (10, 160)
    )
    assert few / many == pytest.approx(4, rel=0.25)
