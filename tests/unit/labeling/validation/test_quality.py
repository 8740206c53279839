import itertools
import random
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightsmith_labeling.annotations import Annotation, Box, Origin
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.jobs.finding import Severity
from sightsmith_labeling.settings import LabelingSettings
from sightsmith_labeling.validation.boxes import suspicious_boxes
from sightsmith_labeling.validation.duplicates import Look, exact_duplicates, near_duplicates
from sightsmith_labeling.validation.labels import labels_that_look_alike, unbalanced_labels
from sightsmith_labeling.validation.pixels import suspicious_pixels
from sightsmith_labeling.validation.quality_rules import QualityRules

RULES = QualityRules()
ORDINARY = {"dhash": "00ff00ff00ff00ff", "brightness": 120.0, "contrast": 50.0, "sharpness": 800.0}


def boxes_of(*boxes: tuple[str, float, float, float, float]) -> list[Annotation]:
    time = datetime(2026, 1, 5, tzinfo=UTC)
    return [
        Annotation(number, label, Box(*sides), Origin.PERSON, "", None, time)
        for number, (label, *sides) in enumerate(boxes, start=1)
    ]


def test_the_settings_have_the_same_thresholds() -> None:
    assert (
        QualityRules.of(LabelingSettings(token="t", database_url="postgresql://x", object_store_url="file:///x"))
        == RULES
    )


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        ({}, []),
        ({"contrast": 1.0, "sharpness": 0.0, "brightness": 255.0}, ["WARNING_BLANK_IMAGE"]),
        ({"sharpness": 9.9}, ["WARNING_BLURRED_IMAGE"]),
        ({"brightness": 5.0}, ["WARNING_DARK_IMAGE"]),
        ({"brightness": 251.0, "sharpness": 2.0}, ["WARNING_BLURRED_IMAGE", "WARNING_BRIGHT_IMAGE"]),
    ],
)
def test_pixels(change: dict[str, float], codes: list[str]) -> None:
    found = list(suspicious_pixels("an image", {**ORDINARY, **change}, RULES))
    assert [finding.code for finding in found] == codes
    assert all(finding.resource == "an image" and finding.severity is Severity.WARNING for finding in found)


def test_odd_boxes() -> None:
    annotations = boxes_of(("bolt", 0, 0, 640, 479), ("bolt", 5, 5, 2, 3), ("nut", 100, 100, 50, 50))
    found = list(suspicious_boxes("i", (640, 480), annotations, RULES))
    assert [(finding.code, finding.details["annotation"]) for finding in found] == [
        ("WARNING_BOX_COVERS_IMAGE", "i/annotations/1"),
        ("WARNING_TINY_BOX", "i/annotations/2"),
    ]


def test_boxes_drawn_twice_are_told_once_and_only_of_one_label() -> None:
    annotations = boxes_of(
        ("bolt", 100, 100, 50, 50), ("nut", 100, 100, 50, 50), ("bolt", 101, 100, 50, 50), ("bolt", 300, 100, 50, 50)
    )
    (found,) = suspicious_boxes("i", None, annotations, RULES)
    assert (found.code, found.details["annotation"], found.details["other_annotation"]) == (
        "WARNING_DUPLICATE_BOX",
        "i/annotations/3",
        "i/annotations/1",
    )
    assert found.details["overlap"] == pytest.approx(49 / 51, abs=1e-4)


def test_thousands_of_boxes_are_compared() -> None:
    grid = [("bolt", 10.0 * x, 10.0 * y, 8.0, 8.0) for x in range(50) for y in range(50)]
    found = list(suspicious_boxes("i", None, boxes_of(*grid, ("bolt", 490.0, 490.0, 8.0, 8.0), grid[0]), RULES))
    assert {finding.details["other_annotation"] for finding in found} == {"i/annotations/2500", "i/annotations/1"}
    assert len(found) == 2


def test_labels_with_few_images_or_far_fewer_than_another() -> None:
    found = list(unbalanced_labels({"cat": 500, "dog": 30, "newt": 4, "owl": 24}, RULES))
    assert [(finding.code, finding.details["label"], finding.details["images"]) for finding in found] == [
        ("WARNING_FEW_IMAGES_OF_LABEL", "newt", 4),
        ("WARNING_LABEL_IMBALANCE", "newt", 4),
        ("WARNING_LABEL_IMBALANCE", "owl", 24),
    ]
    assert list(unbalanced_labels({}, RULES)) == []


def test_labels_that_look_alike_are_told_by_the_commonest() -> None:
    counts = {"dog": 5, "Dog ": 1, "polar bear": 2, "polar_bear": 9, "cat": 3, "cats": 3}
    found = {(finding.details["label"], finding.details["other_label"]) for finding in labels_that_look_alike(counts)}
    assert found == {("Dog ", "dog"), ("polar bear", "polar_bear")}


def look(number: int, split: Split, dhash: int | None, content: int | None = None) -> Look:
    return Look(f"image {number}", f"bytes {number if content is None else content}", split, dhash)


def test_the_same_bytes_in_train_and_test_are_a_leak() -> None:
    looks = [look(1, Split.TEST, None, 7), look(2, Split.TRAIN, None, 7), look(3, Split.TRAIN, None)]
    (pair,) = exact_duplicates(looks)
    assert (pair.image.image, pair.other.image, pair.is_leak, pair.bits) == ("image 1", "image 2", True, None)


SPLITS = st.sampled_from(list(Split))
NEAR_HASHES = st.builds(
    lambda centre, bits: centre ^ bits, st.sampled_from([0x0F0F0F0F, 0xFF00FF00FF00FF00]), st.integers(0, 63)
)


@given(st.lists(st.tuples(SPLITS, st.none() | st.just(0) | NEAR_HASHES, st.none() | st.integers(0, 3)), max_size=25))
def test_near_duplicates_are_those_of_a_plain_search(made: list[tuple[Split, int | None, int | None]]) -> None:
    looks = [look(number, split, dhash, content) for number, (split, dhash, content) in enumerate(made)]
    found = {(pair.image.image, pair.is_leak): pair for pair in near_duplicates(looks, 4)}
    hashed = [one for one in looks if one.dhash]
    for place, one in enumerate(hashed):
        for is_leak in (False, True):
            if is_leak:
                others = [other for other in hashed if other.split is Split.TRAIN and one.split is Split.TEST]
            else:
                others = [other for other in hashed[:place] if other.split is one.split]
            near = [bits for other in others if (bits := ((one.dhash or 0) ^ (other.dhash or 0)).bit_count()) <= 4]
            pair = found.pop((one.image, is_leak), None)
            if pair is not None:
                assert pair.bits == min(near)
                assert pair.other in others
                assert pair.other.sha256 != one.sha256
            else:
                same_bytes = any(other.sha256 == one.sha256 for other in others)
                assert not near or same_bytes
    assert not found


def test_leaks_are_found_among_many_images() -> None:
    chance = np.random.default_rng(0)
    hashes = chance.integers(1, 2**63, 50_000).tolist()
    looks = [look(number, Split.TRAIN, value) for number, value in enumerate(hashes)]
    copies = random.Random(0).sample(range(50_000), 500)
    looks += [look(50_000 + number, Split.TEST, hashes[place] ^ 0b101) for number, place in enumerate(copies)]
    leaks = [pair for pair in near_duplicates(looks, 4) if pair.is_leak]
    assert [(pair.other.image, pair.bits) for pair in leaks] == [(f"image {place}", 2) for place in copies]
    assert len(list(itertools.islice(near_duplicates([], 4), 1))) == 0
