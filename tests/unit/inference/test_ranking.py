"""Which labels and boxes are answered."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from sightsmith_inference.findings import read_findings
from sightsmith_inference.models import Runtime, ServableModel, Task
from sightsmith_inference.ranking import Box, Prediction, Wish, choose

LABELS = ("a", "b", "c", "d")
SCORES = np.array([[0.1, 0.6, 0.2, 0.1]], np.float32)


def _model(
    labels: tuple[str, ...] = LABELS,
    task: Task = Task.CLASSIFICATION,
    thresholds: tuple[float, ...] | None = None,
) -> ServableModel:
    return ServableModel("m", "projects/shop/models/v1", Runtime.ONNX, labels, 8, 4, task, thresholds)


def _chosen(scores: np.ndarray, model: ServableModel, wish: Wish) -> tuple[Prediction, ...]:
    (findings,) = read_findings(model, [scores])
    return choose(findings, model, wish)


@pytest.mark.parametrize(
    ("wish", "labels"),
    [
        (Wish(), ["b"]),
        (Wish(max_results=3), ["b"]),
        (Wish(min_confidence=0.0), ["b", "c", "a", "d"]),
        (Wish(min_confidence=0.0, max_results=2), ["b", "c"]),
        (Wish(min_confidence=0.15), ["b", "c"]),
        (Wish(min_confidence=1.0), []),
    ],
)
def test_without_thresholds(wish: Wish, labels: list[str]) -> None:
    assert [prediction.label for prediction in _chosen(SCORES, _model(), wish)] == labels


@pytest.mark.parametrize(
    ("wish", "labels"),
    [
        (Wish(), ["c", "a"]),
        (Wish(max_results=1), ["c"]),
        (Wish(min_confidence=0.0), ["b", "c", "a", "d"]),
        (Wish(min_confidence=0.5), ["b"]),
    ],
)
def test_with_thresholds(wish: Wish, labels: list[str]) -> None:
    model = _model(task=Task.MULTI_LABEL_CLASSIFICATION, thresholds=(0.1, 0.7, 0.2, 0.11))
    assert [prediction.label for prediction in _chosen(SCORES, model, wish)] == labels


@pytest.mark.parametrize(
    ("threshold", "wish", "labels"),
    [
        (0.5, Wish(), ["b"]),
        (0.7, Wish(), []),
        (0.7, Wish(min_confidence=0.15), ["b", "c"]),
    ],
)
def test_thresholds_of_one_label_an_image_are_of_the_likeliest_label(
    threshold: float, wish: Wish, labels: list[str]
) -> None:
    model = _model(thresholds=(0.0, threshold, 0.0, 0.0))
    assert [prediction.label for prediction in _chosen(SCORES, model, wish)] == labels


@pytest.mark.parametrize(
    ("wish", "labels"),
    [
        (Wish(labels=("b",)), ["b"]),
        # The answer is b, and not wanted: what comes next is no answer of the model.
        (Wish(labels=("a", "c")), []),
        (Wish(0.0, labels=("a", "c", "c")), ["c", "a"]),
        (Wish(0.0, 1, labels=("a", "c")), ["c"]),
        (Wish(0.15, labels=("a", "c")), ["c"]),
    ],
)
def test_wanted_labels(wish: Wish, labels: list[str]) -> None:
    assert [prediction.label for prediction in _chosen(SCORES, _model(), wish)] == labels


def test_wanted_labels_that_a_model_does_not_have_are_named() -> None:
    (violation,) = Wish(labels=("a", "no such label")).unknown_labels(_model())
    assert violation.field == "labels[1]"
    assert violation.description == "must be a label of projects/shop/models/v1, not 'no such label'"
    assert Wish(labels=LABELS).unknown_labels(_model()) == []
    assert len(Wish(labels=("x" * 1000,) * 1000).unknown_labels(_model())) == 10


def test_confidence_is_never_above_one() -> None:
    scores = np.array([[np.nextafter(np.float32(1), np.float32(2)), 0]], np.float32)
    (first,) = _chosen(scores, _model(("a", "b")), Wish())
    assert first.confidence == 1.0


@given(
    stn.arrays(np.float32, st.tuples(st.just(1), st.integers(1, 20)), elements=st.floats(0, 1, width=32)),
    st.floats(0, 1),
    st.integers(0, 25),
)
def test_laws(scores: np.ndarray, least: float, most: int) -> None:
    labels = tuple(str(index) for index in range(scores.size))
    chosen = _chosen(scores, _model(labels), Wish(least, most))
    model = _model(labels, Task.MULTI_LABEL_CLASSIFICATION, (least,) * len(labels))
    by_threshold = _chosen(scores, model, Wish(None, most))
    confidences = [prediction.confidence for prediction in chosen]
    assert confidences == sorted(confidences, reverse=True)
    assert len(chosen) == min((scores.astype(float) >= least).sum(), most or scores.size)
    assert all(scores[0, int(prediction.label)] == np.float32(prediction.confidence) for prediction in chosen)
    assert by_threshold == chosen


def test_a_box_has_a_corner_and_sides() -> None:
    model = _model(task=Task.DETECTION, thresholds=(0.5,) * 4)
    boxes = np.array([[[0.25, 0.5, 1, 0.75], [0, 0, 1, 1]]], np.float32)
    scores, labels = np.array([[0.75, 0.25]], np.float32), np.array([[2, 0]], np.int32)
    (findings,) = read_findings(model, [boxes, scores, labels])
    assert choose(findings, model, Wish()) == (Prediction("c", 0.75, Box(0.25, 0.5, 0.75, 0.25)),)
    assert [prediction.label for prediction in choose(findings, model, Wish(min_confidence=0.0))] == ["c", "a"]


@pytest.mark.parametrize(
    ("wish", "fields"),
    [
        (Wish(), []),
        (Wish(0.0, 0), []),
        (Wish(1.0, 5), []),
        (Wish(math.nan), ["min_confidence"]),
        (Wish(-0.1), ["min_confidence"]),
        (Wish(1.1, -1), ["min_confidence", "max_results"]),
    ],
)
def test_what_is_wrong_with_a_wish(wish: Wish, fields: list[str]) -> None:
    assert [violation.field for violation in wish.violations()] == fields
