import hashlib
import random
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightsmith.errors import InvalidArgumentError
from sightsmith_labeling.splitting.auto_split import AutoSplit
from sightsmith_labeling.splitting.candidates import SplitImage
from sightsmith_labeling.splitting.choice import choose_test_images

FRACTIONS = st.floats(min_value=0.001, max_value=0.5)
SEEDS = st.integers(min_value=-(2**63), max_value=2**63 - 1)
LABELS = st.sampled_from("abcdef")
# Few, so that images look the same often; 0 is a picture without edges, which looks like no other.
HASHES = st.sampled_from([None, 0, 0x0F0F, 0x0F0E, 0xFF00FF00FF00FF00, 0x3333CCCC3333CCCC])


def sha256(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


def images_of(labels: Iterable[Sequence[str]]) -> list[SplitImage]:
    return [SplitImage(sha256(index), tuple((label, 0) for label in sorted(each))) for index, each in enumerate(labels)]


def with_look(labels: Iterable[tuple[dict[str, int], int | None]]) -> list[SplitImage]:
    return [
        SplitImage(sha256(index), tuple(sorted(boxes.items())), dhash) for index, (boxes, dhash) in enumerate(labels)
    ]


one_label_each = st.lists(st.tuples(LABELS), max_size=60).map(images_of)
several_labels = st.lists(st.lists(LABELS, min_size=1, max_size=4, unique=True), max_size=60).map(images_of)
boxes_and_looks = st.lists(
    st.tuples(st.dictionaries(LABELS, st.integers(0, 20), min_size=1, max_size=4), HASHES), max_size=60
).map(with_look)


def image_counts(images: Iterable[SplitImage]) -> Counter[str]:
    return Counter(label for image in images for label, _ in image.labels)


def parts(images: Sequence[SplitImage], aside: frozenset[str]) -> tuple[list[SplitImage], list[SplitImage]]:
    """The images for training, and those for testing."""
    return [i for i in images if i.sha256 not in aside], [i for i in images if i.sha256 in aside]


@given(boxes_and_looks, FRACTIONS, SEEDS, st.randoms())
def test_depends_on_the_images_and_the_seed_alone(
    images: list[SplitImage], fraction: float, seed: int, chance: random.Random
) -> None:
    in_another_order = list(images)
    chance.shuffle(in_another_order)
    split = AutoSplit(fraction, seed)
    assert choose_test_images(images, split) == choose_test_images(in_another_order, split)


@given(one_label_each, FRACTIONS, SEEDS)
def test_each_label_is_learnt_and_tested(images: list[SplitImage], fraction: float, seed: int) -> None:
    _, test = parts(images, choose_test_images(images, AutoSplit(fraction, seed)))
    in_test = image_counts(test)
    for label, total in image_counts(images).items():
        if total == 1:
            assert in_test[label] == 0
        else:
            assert 1 <= in_test[label] <= total - 1
            assert abs(in_test[label] - fraction * total) <= 1


@given(boxes_and_looks, FRACTIONS, SEEDS)
def test_no_label_loses_its_last_training_image(images: list[SplitImage], fraction: float, seed: int) -> None:
    aside = choose_test_images(images, AutoSplit(fraction, seed))
    assert aside <= {image.sha256 for image in images}
    train, _ = parts(images, aside)
    assert image_counts(train).keys() == image_counts(images).keys()


@given(boxes_and_looks, FRACTIONS, SEEDS)
def test_a_label_without_test_image_could_not_have_one(images: list[SplitImage], fraction: float, seed: int) -> None:
    train, test = parts(images, choose_test_images(images, AutoSplit(fraction, seed)))
    in_train = image_counts(train)
    for label in image_counts(images).keys() - image_counts(test).keys():
        carriers = [image for image in images if label in dict(image.labels)]
        assert all(min(in_train[other] for other, _ in image.labels) == 1 for image in carriers)


@given(boxes_and_looks, boxes_and_looks, FRACTIONS, SEEDS)
def test_images_that_are_tested_already_are_not_chosen_again_and_leave_something_to_learn_from(
    images: list[SplitImage], others: list[SplitImage], fraction: float, seed: int
) -> None:
    tested = [SplitImage(sha256(f"tested {image.sha256}"), image.labels, image.dhash) for image in others]
    aside = choose_test_images(images, AutoSplit(fraction, seed), tested)
    train, _ = parts(images, aside)
    assert aside <= {image.sha256 for image in images}
    assert image_counts(train).keys() == image_counts(images).keys()


def test_images_that_are_tested_already_count() -> None:
    images = images_of([("cat",)] * 80 + [("dog",)] * 100)
    tested = [SplitImage(sha256(f"tested {number}"), (("cat", 0),)) for number in range(20)]
    _, test = parts(images, choose_test_images(images, AutoSplit(0.2), tested))
    assert image_counts(test) == {"dog": 20}


def test_the_seed_changes_the_choice() -> None:
    images = images_of([("cat",)] * 100)
    choices = {choose_test_images(images, AutoSplit(0.2, seed)) for seed in range(5)}
    assert len(choices) == 5
    assert {len(choice) for choice in choices} == {20}


def test_a_new_image_hardly_changes_the_choice() -> None:
    images = images_of([("cat",)] * 101)
    before = choose_test_images(images[:100], AutoSplit())
    assert len(before ^ choose_test_images(images, AutoSplit())) <= 2


def several_thousand(seed: int) -> list[SplitImage]:
    """Images with labels of very different frequency, often together, and numbers of boxes with a long tail."""
    chance = np.random.default_rng(seed)
    frequency = 0.7 ** np.arange(12)
    made = []
    for index in range(4000):
        labels = [label for label in range(12) if chance.random() < 0.6 * frequency[label]] or [0]
        boxes = tuple((f"label {label:02}", int(chance.pareto(1.5)) + 1) for label in labels)
        made.append(SplitImage(sha256(f"{seed} {index}"), boxes))
    return made


@pytest.mark.parametrize("seed", range(3))
def test_labels_that_occur_together_get_their_shares_of_images_and_boxes(seed: int) -> None:
    images = several_thousand(seed)
    _, test = parts(images, choose_test_images(images, AutoSplit(0.2, seed)))
    assert len(test) == pytest.approx(0.2 * len(images), rel=0.05)
    in_test, totals = image_counts(test), image_counts(images)
    for label, total in totals.items():
        assert in_test[label] == pytest.approx(0.2 * total, abs=max(2, 0.03 * total)), label
    for label in totals:
        # The few images with hundreds of boxes can be on one side only.
        few = [min(dict(image.labels).get(label, 0), 20) for image in images]
        few_in_test = [min(dict(image.labels).get(label, 0), 20) for image in test]
        assert sum(few_in_test) == pytest.approx(0.2 * sum(few), abs=max(20, 0.08 * sum(few))), label


def test_images_that_look_the_same_stay_together() -> None:
    chance = random.Random(0)
    looks = [chance.getrandbits(64) for _ in range(100)]
    # Five shots of each thing; the last differ in two bits from the first.
    images = with_look(({"cat" if look % 2 else "dog": 0}, look ^ bits) for look in looks for bits in (0, 1, 2, 3, 6))
    aside = choose_test_images(images, AutoSplit(0.2))
    shots = [sum(image.sha256 in aside for image in images[begin : begin + 5]) for begin in range(0, 500, 5)]
    assert set(shots) == {0, 5}
    assert sum(shots) == pytest.approx(100, abs=5)


def test_what_looks_like_a_test_image_joins_it() -> None:
    images = with_look([({"cat": 0}, None)] * 50 + [({"cat": 0}, 0xABCDEF0123456789)])
    tested = [SplitImage(sha256(f"tested {number}"), (("cat", 0),), 0xABCDEF0123456788) for number in range(20)]
    assert choose_test_images(images, AutoSplit(0.2), tested) == {images[-1].sha256}


def test_a_camera_that_never_moves_gives_test_images_all_the_same() -> None:
    images = with_look([({"part": 0}, 0xABCDEF0123456789)] * 100)
    assert len(choose_test_images(images, AutoSplit(0.2))) == 20


def test_two_copies_of_one_picture_are_learnt_from_and_tested_if_there_is_nothing_else() -> None:
    images = with_look([({"cat": 0}, 0xABCDEF0123456789)] * 2)
    assert len(choose_test_images(images, AutoSplit())) == 1


@pytest.mark.parametrize("fraction", [-0.1, 0.0, 0.51, 1.0, float("nan"), float("inf")])
def test_other_fractions_are_refused(fraction: float) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        AutoSplit(fraction)
    assert [violation.field for violation in caught.value.violations] == ["auto_split.test_fraction"]
