import hashlib
import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightsmith.errors import InvalidArgumentError
from sightsmith_labeling.auto_split import AutoSplit, set_aside

FRACTIONS = st.floats(min_value=0.001, max_value=0.5)
SEEDS = st.integers(min_value=-(2**63), max_value=2**63 - 1)
LABELS = st.sampled_from("abcdef")


def by_sha256(labels: Sequence[tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {hashlib.sha256(str(index).encode()).hexdigest(): each for index, each in enumerate(labels)}


one_label_each = st.lists(st.tuples(LABELS), max_size=60).map(by_sha256)
several_labels = st.lists(st.lists(LABELS, min_size=1, max_size=4, unique=True).map(tuple), max_size=60).map(by_sha256)


def count(images: dict[str, tuple[str, ...]]) -> Counter[str]:
    return Counter(label for labels in images.values() for label in labels)


@given(several_labels, FRACTIONS, SEEDS, st.randoms())
def test_depends_on_the_images_and_the_seed_alone(
    images: dict[str, tuple[str, ...]], fraction: float, seed: int, chance: random.Random
) -> None:
    in_another_order = list(images.items())
    chance.shuffle(in_another_order)
    split = AutoSplit(fraction, seed)
    assert set_aside(images, split) == set_aside(dict(in_another_order), split)


@given(one_label_each, FRACTIONS, SEEDS)
def test_each_label_is_learnt_and_tested(images: dict[str, tuple[str, ...]], fraction: float, seed: int) -> None:
    aside = set_aside(images, AutoSplit(fraction, seed))
    in_test = count({sha256: images[sha256] for sha256 in aside})
    for label, total in count(images).items():
        if total == 1:
            assert in_test[label] == 0
        else:
            assert 1 <= in_test[label] <= total - 1
            assert abs(in_test[label] - fraction * total) <= 1


@given(several_labels, FRACTIONS, SEEDS)
def test_no_label_loses_its_last_training_image(images: dict[str, tuple[str, ...]], fraction: float, seed: int) -> None:
    aside = set_aside(images, AutoSplit(fraction, seed))
    assert aside <= images.keys()
    assert count({sha256: labels for sha256, labels in images.items() if sha256 not in aside}).keys() == (
        count(images).keys()
    )


@given(several_labels, FRACTIONS, SEEDS)
def test_a_label_without_test_image_could_not_have_one(
    images: dict[str, tuple[str, ...]], fraction: float, seed: int
) -> None:
    aside = set_aside(images, AutoSplit(fraction, seed))
    in_train = count({sha256: labels for sha256, labels in images.items() if sha256 not in aside})
    for label in count(images).keys() - count({sha256: images[sha256] for sha256 in aside}).keys():
        carriers = [labels for labels in images.values() if label in labels]
        assert all(min(in_train[other] for other in labels) == 1 for labels in carriers)


def test_the_seed_changes_the_choice() -> None:
    images = by_sha256([("cat",)] * 100)
    choices = {frozenset(set_aside(images, AutoSplit(0.2, seed))) for seed in range(5)}
    assert len(choices) == 5
    assert {len(choice) for choice in choices} == {20}


def test_a_new_image_hardly_changes_the_choice() -> None:
    images = by_sha256([("cat",)] * 101)
    before = set_aside(dict(list(images.items())[:100]), AutoSplit())
    assert len(before ^ set_aside(images, AutoSplit())) <= 2


@pytest.mark.parametrize("fraction", [-0.1, 0.0, 0.51, 1.0, float("nan"), float("inf")])
def test_other_fractions_are_refused(fraction: float) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        AutoSplit(fraction)
    assert [violation.field for violation in caught.value.violations] == ["auto_split.test_fraction"]
