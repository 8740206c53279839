"""Held-out images have their share of every label, and near duplicates stay together."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sightsmith_training.engine.detection.held_out import hold_out
from sightsmith_training.engine.detection.labelling import Labelling

_BOX = np.array([[0.1, 0.1, 0.5, 0.5]], np.float32)


def _labellings(labels):
    """One box an image; None stands for background."""
    boxes = [_BOX if label is not None else _BOX[:0] for label in labels]
    positions = [[] if label is None else [label] for label in labels]
    return [Labelling(box, np.array(label, dtype=np.intp)) for box, label in zip(boxes, positions, strict=True)]


@given(st.integers(60, 200), st.integers(0, 50), st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_about_a_sixth_of_every_label_and_of_the_background(images, background, seed):
    labels = [image % 3 for image in range(images)] + [None] * background
    held, *others = hold_out(_labellings(labels), 3, seed)
    assert sorted(set(held.tolist())) == held.tolist()
    for label in (0, 1, 2):
        own = [image for image, carried in enumerate(labels) if carried == label]
        assert abs(np.isin(own, held).sum() - len(own) / 6) <= 1
    assert abs((held >= images).sum() - background / 6) <= 2
    # Together the parts hold every image once.
    assert np.array_equal(np.sort(np.concatenate([held, *others])), np.arange(len(labels)))


def test_few_images_hold_out_a_larger_part_and_very_few_none():
    assert len(hold_out(_labellings([0, 1] * 15), 2, 0)[0]) in (7, 8)
    assert len(hold_out(_labellings([0, 1] * 5), 2, 0)[0]) in (3, 4)
    assert not hold_out(_labellings([0] * 5 + [None] * 100), 2, 0)


def test_of_very_many_images_only_some_are_held_out():
    labellings = _labellings([0, 1] * 300 + [None] * 600)
    assert 70 <= len(hold_out(labellings, 2, 0, most=80)[0]) <= 90
    few_with_boxes, *_ = hold_out(_labellings([0, 1] * 15 + [None] * 600), 2, 0, most=10)
    assert np.sum(few_with_boxes < 30) in (5, 6, 7)


def test_near_duplicates_stay_on_one_side():
    groups = np.repeat(np.arange(30), 4)
    held, *_ = hold_out(_labellings([group % 2 for group in groups]), 2, 0, groups)
    assert all(np.isin(np.flatnonzero(groups == group), held).mean() in (0, 1) for group in range(30))
    assert len(held) == 20
    assert not hold_out(_labellings([0] * 30), 1, 0, np.zeros(30, np.intp))  # Nothing would be left to learn from.
