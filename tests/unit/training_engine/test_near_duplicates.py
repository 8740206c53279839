"""Copies of an image stay on one side of every division."""

import time

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sightsmith_training.engine.classification.folds import plan_folds
from sightsmith_training.engine.classification.probes import try_probe
from sightsmith_training.engine.detection.held_out import hold_out
from sightsmith_training.engine.detection.labelling import Labelling
from sightsmith_training.engine.near_duplicates import find_near_duplicates

LABELS = 3


def _distinct(images: int) -> list[str]:
    return [f"{number:064x}" for number in range(images)]


def _originals(images: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features that tell little of the label, and the truth."""
    random = np.random.default_rng(seed)
    truth = np.eye(LABELS, dtype=bool)[np.arange(images) % LABELS]
    features = random.random((images, 40), dtype=np.float32)
    features[:, :LABELS] += 0.4 * truth
    return features, truth


def _copies(features: np.ndarray, times: int, noise: float = 0.005) -> np.ndarray:
    many = np.tile(features, (times, 1))
    return np.abs(many + np.random.default_rng(1).normal(0, noise, many.shape)).astype(np.float32)


def _score(features: np.ndarray, truth: np.ndarray, groups: np.ndarray | None) -> float:
    folds = plan_folds(truth, 0, groups)
    return max(trial.mean for trial in try_probe(("net",), {"net": features}, truth, "softmax", folds, 0.01, 1))


def test_three_copies_of_each_image_do_not_raise_the_score_out_of_fold() -> None:
    features, truth = _originals(60)
    alone = _score(features, truth, None)
    many, of_many = _copies(features, 3), np.tile(truth, (3, 1))
    found = find_near_duplicates(_distinct(180), of_many, many)
    assert len(np.unique(found.groups)) == 60
    assert (found.groups == np.tile(found.groups[:60], 3)).all()
    assert (found.divided, found.limits) == (0, [])
    assert _score(many, of_many, found.groups) <= alone + 0.05
    assert _score(many, of_many, None) > alone + 0.3


def test_different_images_are_alone_and_equal_bytes_together_whatever_their_features() -> None:
    features, truth = _originals(90)
    names = _distinct(90)
    names[31] = names[1]
    found = find_near_duplicates(names, truth, features)
    assert len(np.unique(found.groups)) == 89
    assert found.groups[1] == found.groups[31]


def test_a_group_that_leaves_nothing_to_divide_is_divided_and_told() -> None:
    features, truth = _originals(60)
    truth[:] = False
    truth[:20, 0] = truth[20:40, 1] = truth[40:, 2] = True
    features[:20] = _copies(features[:1], 20)
    names = _distinct(60)
    names[3] = names[2]
    told: list[float] = []
    found = find_near_duplicates(names, truth, features, advance=told.append)
    assert told == sorted(told)
    assert found.groups[2] == found.groups[3]
    assert 5 <= len(np.unique(found.groups[:20])) <= 19
    assert len(np.unique(found.groups[20:])) == 40
    assert found.divided == 20
    assert found.limits[0].startswith("20 training images look so much alike")
    for fold in plan_folds(truth, 0, found.groups):
        assert truth[fold.learn].any(axis=0).all()
        assert truth[fold.test].any(axis=0).all()


def test_a_film_of_everything_is_divided_into_scenes() -> None:
    """Each frame is like the next one; few have their like on another side of a division."""
    steps = np.random.default_rng(0).normal(0, 0.15, (300, 64))
    features = np.exp(steps.cumsum(axis=0)).astype(np.float32)
    truth = np.eye(LABELS, dtype=bool)[np.repeat(np.arange(LABELS), 100)]
    found = find_near_duplicates(_distinct(300), truth, np.log(features))
    assert found.divided > 200
    cuts = int((found.groups[1:] != found.groups[:-1]).sum())
    assert cuts < 60
    assert np.bincount(found.groups).max() <= 30
    for fold in plan_folds(truth, 0, found.groups):
        assert truth[fold.learn].any(axis=0).all()


@settings(max_examples=15, deadline=None)
@given(data=st.data(), images=st.integers(4, 60))
def test_no_set_of_copies_makes_folds_fail(data: st.DataObject, images: int) -> None:
    features, truth = _originals(images)
    copied = data.draw(st.lists(st.integers(0, images - 1), min_size=images, max_size=images))
    equal = data.draw(st.lists(st.integers(0, images - 1), min_size=images, max_size=images))
    found = find_near_duplicates([_distinct(images)[number] for number in equal], truth, features[copied])
    folds = plan_folds(truth, 0, found.groups)
    assert all(len(fold.learn) and len(fold.test) for fold in folds)
    # What can be learned and judged without groups can be with them.
    for label in np.flatnonzero(truth.sum(axis=0) > 1):
        assert len(np.unique(found.groups[truth[:, label]])) > 1
    boxes = np.array([[0.1, 0.1, 0.5, 0.5]], np.float32)
    labellings = [Labelling(boxes, np.flatnonzero(row)) for row in truth]
    assert len(hold_out(labellings, LABELS, 0, found.groups)) > 0 or images < 6


def test_squares_are_alike_whatever_a_camera_always_sees() -> None:
    random = np.random.default_rng(0)
    background = random.integers(0, 256, (1, 64, 64, 3))
    things = random.integers(-40, 40, (30, 64, 64, 3)).cumsum(axis=1).clip(-60, 60)
    pixels = (background // 2 + 60 + things).clip(0, 255).astype(np.uint8)
    brighter = (pixels[:6].astype(int) + random.integers(-3, 4, (6, 64, 64, 3))).clip(0, 255).astype(np.uint8)
    squares = np.concatenate([pixels, brighter])
    truth = np.eye(LABELS, dtype=bool)[np.arange(36) % LABELS]
    found = find_near_duplicates(_distinct(36), truth, pixels=squares)
    assert found.groups[30:].tolist() == found.groups[:6].tolist()
    assert len(np.unique(found.groups)) == 30


def test_ten_thousand_images_take_seconds() -> None:
    features = _copies(np.random.default_rng(0).random((5_000, 64), dtype=np.float32), 2)
    truth = np.eye(LABELS, dtype=bool)[np.tile(np.arange(5_000), 2) % LABELS]
    started = time.process_time()
    found = find_near_duplicates(_distinct(10_000), truth, features)
    assert time.process_time() - started < 10
    assert (found.groups[:5_000] == found.groups[5_000:]).mean() > 0.99
