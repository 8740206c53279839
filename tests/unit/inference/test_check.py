"""What a model may answer before it gets any traffic."""

import re
from typing import Any

import numpy as np
import pytest

from sightsmith_inference.check import problem_of
from sightsmith_inference.models import Task

WHOLE = [0.0, 0.0, 1.0, 1.0]


def _scores(*rows: list[float]) -> list[np.ndarray]:
    return [np.array(rows, np.float32)]


def _found(box: list[float], score: float) -> list[np.ndarray]:
    empty: list[Any] = [[9.0, 9.0, -9.0, -9.0], WHOLE]
    boxes, scores = np.array([[box, *empty]], np.float32), np.array([[score, 0, 0]], np.float32)
    return [boxes, scores, np.zeros((1, 3), np.int32)]


@pytest.mark.parametrize(
    ("task", "outputs"),
    [
        (Task.CLASSIFICATION, _scores([0.25, 0.75], [1, 0])),
        (Task.MULTI_LABEL_CLASSIFICATION, _scores([0, 0], [1, 1], [0.3, 0.9])),
        (Task.DETECTION, _found(WHOLE, 1)),
        (Task.DETECTION, _found([0.2, 0.3, 0.2, 0.9], 0.5)),
        # Nothing is said by slots that are empty.
        (Task.DETECTION, _found([5, 5, 5, 5], 0)),
    ],
)
def test_what_is_right(task: Task, outputs: list[np.ndarray]) -> None:
    assert problem_of(task, outputs) is None


@pytest.mark.parametrize(
    ("task", "outputs", "problem"),
    [
        (Task.CLASSIFICATION, _scores([0.5, 0.5], [0.5, 0.6]), "they sum to 1, 1.1"),
        (Task.CLASSIFICATION, _scores([-0.5, 1.5]), "no probabilities"),
        (Task.MULTI_LABEL_CLASSIFICATION, _scores([0.5, 1.1]), "0.5 to 1.1"),
        (Task.MULTI_LABEL_CLASSIFICATION, _scores([-2, 3]), "-2 to 3"),
        (Task.DETECTION, _found(WHOLE, 1.5), "not from 0 to 1: 0 to 1.5"),
        (Task.DETECTION, _found([0, 0, 416, 416], 0.5), r"boxes that .*\[0.0, 0.0, 416.0, 416.0\]"),
        (Task.DETECTION, _found([0.5, 0, 0.25, 1], 0.5), "boxes that"),
        (Task.DETECTION, _found([0, 0.5, 1, 0.25], 0.5), "boxes that"),
    ],
)
def test_what_is_wrong(task: Task, outputs: list[np.ndarray], problem: str) -> None:
    assert re.search(problem, problem_of(task, outputs) or "")
