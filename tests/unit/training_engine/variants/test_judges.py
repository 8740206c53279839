"""Variants are judged by the figures that models are judged by."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from sightsmith_training.engine.detection_samples import select_detection_samples
from sightsmith_training.engine.samples import select_samples
from sightsmith_training.engine.specification import SpecBox, SpecEntry
from sightsmith_training.engine.variants.judges import classifier_judge, detector_judge


def entry(number: int, labels: list[str], boxes: list[SpecBox]) -> SpecEntry:
    return SpecEntry(
        image=f"projects/p/datasets/d/images/{number}",
        sha256=f"{number:064x}",
        key=f"images/{number}",
        split="train" if number < 6 else "test",
        labels=labels,
        boxes=boxes,
        width=200,
        height=100,
    )


def test_a_classifier_is_judged_by_macro_f1_and_its_labels() -> None:
    entries = [entry(number, [("a", "b", "c")[number % 3]], []) for number in range(30)]
    samples = select_samples(entries, "classification", 2)
    rows = range(samples.training, len(samples.entries))
    scores = np.random.default_rng(0).dirichlet((1, 1, 1), len(rows)).astype(np.float32)
    judge = classifier_judge(samples, rows, np.zeros(3))
    truth = samples.truth[samples.training :].argmax(axis=1)
    assert judge.figure([scores]) == pytest.approx(f1_score(truth, scores.argmax(axis=1), average="macro"))
    assert judge.decisions is not None
    assert (judge.decisions([scores]).argmax(axis=1) == scores.argmax(axis=1)).all()


def test_a_detector_is_judged_by_how_well_its_boxes_fit() -> None:
    box = SpecBox(label="cup", left=20, top=10, width=100, height=50)
    samples = select_detection_samples([entry(number, [], [box]) for number in range(10)], 0.2)
    rows = range(samples.training, len(samples.entries))
    judge = detector_judge(samples, rows)
    right = np.tile(np.array([0.1, 0.1, 0.6, 0.6], np.float32), (len(rows), 1, 1))
    scores, labels = np.full((len(rows), 1), 0.9, np.float32), np.zeros((len(rows), 1), np.int32)
    assert judge.figure([right, scores, labels]) == pytest.approx(1)
    moved = right + np.array([0.1, 0, 0.1, 0], np.float32)  # An overlap of 2 in 3: right at 0.5 to 0.65 of ten levels.
    assert judge.figure([moved, scores, labels]) == pytest.approx(0.4)
    assert judge.figure([right + 0.5, scores, labels]) == 0
    assert judge.decisions is None
