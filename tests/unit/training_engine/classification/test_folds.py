"""Laws of the division into folds."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sightsmith_training.engine.classification.folds import plan_folds, stratify

_truths = st.integers(4, 60).flatmap(
    lambda images: st.integers(1, 6).flatmap(lambda labels: arrays(np.bool_, (images, labels)))
)


@settings(max_examples=60, deadline=None)
@given(truth=_truths, seed=st.integers(0, 1000), data=st.data())
def test_each_repetition_tests_every_image_once_and_keeps_groups_together(
    truth: np.ndarray, seed: int, data: Any
) -> None:
    images = len(truth)
    groups = np.array(data.draw(st.lists(st.integers(0, images), min_size=images, max_size=images)))
    groups[:2] = images + 1, images + 2  # At least two groups.
    folds = plan_folds(truth, seed, groups)
    for repetition in {fold.repetition for fold in folds}:
        tested = np.concatenate([fold.test for fold in folds if fold.repetition == repetition])
        assert sorted(tested) == list(range(images))
    for fold in folds:
        assert sorted([*fold.learn, *fold.test]) == list(range(images))
        assert not set(groups[fold.learn]) & set(groups[fold.test])


@settings(max_examples=60, deadline=None)
@given(targets=st.lists(st.integers(0, 5), min_size=4, max_size=120), folds=st.integers(2, 5))
def test_single_labels_are_spread_as_evenly_as_can_be(targets: list[int], folds: int) -> None:
    truth = np.eye(6)[targets]
    places = stratify(truth, np.ones(len(truth)), folds, seed=3)
    for label in range(6):
        counts = np.bincount(places[truth[:, label] > 0], minlength=folds)
        assert counts.max() - counts.min() <= 1


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_several_labels_are_spread_better_than_by_chance(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = (random.random((100, 8)) < random.uniform(0.03, 0.5, 8)).astype(float)

    def unevenness(places: np.ndarray) -> float:
        shares = np.stack([truth[places == fold].sum(axis=0) for fold in range(5)])
        return float(np.abs(shares - truth.sum(axis=0) / 5).sum())

    chance = np.mean([unevenness(random.permutation(np.arange(100) % 5)) for _ in range(10)])
    assert unevenness(stratify(truth, np.ones(100), 5, seed)) < chance


def test_the_same_seed_gives_the_same_folds() -> None:
    truth = np.random.default_rng(0).random((50, 4)) < 0.3
    for one, other in zip(plan_folds(truth, 5), plan_folds(truth, 5), strict=True):
        np.testing.assert_array_equal(one.test, other.test)
    assert any(
        one.test.tolist() != other.test.tolist()
        for one, other in zip(plan_folds(truth, 5), plan_folds(truth, 6), strict=True)
    )


def test_many_images_are_divided_once() -> None:
    assert {fold.repetition for fold in plan_folds(np.ones((1001, 1), bool), 0)} == {0}


@settings(max_examples=60, deadline=None)
@given(
    films=st.lists(st.lists(st.integers(1, 20), min_size=1, max_size=8), min_size=2, max_size=5),
    seed=st.integers(0, 1000),
)
def test_a_label_that_was_filmed_seldom_costs_the_others_nothing(films: list[list[int]], seed: int) -> None:
    """Films of each label, by how many images they have: every fold that can be has every label."""
    labels = np.repeat(np.arange(len(films)), [sum(lengths) for lengths in films])
    groups = np.repeat(np.arange(sum(map(len, films))), [images for lengths in films for images in lengths])
    truth = np.eye(len(films), dtype=bool)[labels]
    folds = plan_folds(truth, seed, groups)
    assert sum(fold.repetition == 0 for fold in folds) == min(5, len(np.unique(groups)))
    for label, lengths in enumerate(films):
        for repetition in {fold.repetition for fold in folds}:
            tested = sum(truth[fold.test, label].any() for fold in folds if fold.repetition == repetition)
            assert tested == min(5, len(lengths))
        if len(lengths) > 1:
            assert all(truth[fold.learn, label].any() for fold in folds)
