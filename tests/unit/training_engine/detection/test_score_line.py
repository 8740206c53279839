"""Calibrated scores keep their order, mean more than raw ones, and are left alone where nothing can be told."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import log_loss

from sightsmith_training.engine.detection.judgement import judge
from sightsmith_training.engine.detection.labelling import Labelling
from sightsmith_training.engine.detection.score_line import NO_CHANGE, ScoreLine, fit_score_line
from sightsmith_training.engine.judging.answers import Detections

_BOX = np.array([[0.1, 0.2, 0.5, 0.8]], np.float32)
_PLACES = np.concatenate([_BOX, [[0.7, 0.7, 0.9, 0.9]]])
_SIZE = (100, 100)
_TRUE = ScoreLine(2.0, 1.5)


def _drawn(count, seed, line=_TRUE):
    """Raw scores, and detections that are as often right as the line says."""
    random = np.random.default_rng(seed)
    raw = expit(random.normal(-2, 2, count))
    return raw, random.random(count) < line.scores(raw)


def test_the_line_behind_the_detections_is_found():
    line = fit_score_line(*_drawn(20_000, seed=0))
    assert (line.scale, line.shift) == pytest.approx((_TRUE.scale, _TRUE.shift), abs=0.15)


@pytest.mark.parametrize("count", [80, 500])
def test_other_detections_are_foretold_better(count):
    line = fit_score_line(*_drawn(count, seed=1))
    raw, right = _drawn(5000, seed=2)
    assert log_loss(right, line.scores(raw)) < 0.9 * log_loss(right, raw)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.floats(0.001, 0.999), st.booleans()), min_size=20, max_size=60))
def test_the_order_of_scores_stays(detections):
    line = fit_score_line(*(np.array(each) for each in zip(*detections, strict=True)))
    assert line.scale > 0
    scores = line.scores(np.linspace(0, 1, 101))
    assert (np.diff(scores) >= 0).all()
    assert (scores[0], scores[-1]) == (0, 1)


@pytest.mark.parametrize(("right", "wrong"), [(9, 500), (500, 9), (0, 0)])
def test_with_too_few_detections_nothing_changes(right, wrong):
    raw = np.linspace(0.1, 0.9, right + wrong)
    line = fit_score_line(raw, np.arange(right + wrong) < right)
    assert line == NO_CHANGE
    assert line.scores(raw) == pytest.approx(raw)


def test_a_calibrated_judgement_is_the_same_one_with_other_thresholds():
    random = np.random.default_rng(3)
    labels = np.arange(60) % 2
    found = []
    for label in labels:
        # The box is found with scores around 0.4, and nothing with lower ones.
        confidences = np.array([random.uniform(0.2, 0.6), random.uniform(0.01, 0.3)])
        order = np.argsort(-confidences)
        found.append(Detections(_PLACES[order].astype(np.float64) * 100, np.full(2, label), confidences[order]))
    labellings = [Labelling(_BOX, np.array([label])) for label in labels]
    raw = judge(np.arange(60), found, labellings, [_SIZE] * 60, 2)
    calibrated = raw.with_line(raw.line)
    assert raw.line != NO_CHANGE
    assert (calibrated.map_50, calibrated.map_50_95) == (raw.map_50, raw.map_50_95)
    again = judge(np.arange(60), calibrated.detections, labellings, [_SIZE] * 60, 2)
    assert np.array_equal(again.matches.confidences, calibrated.matches.confidences)
    for one, other in ((raw, raw.thresholds), (calibrated, calibrated.thresholds)):
        told = [own.confidences >= other[label] for label, own in enumerate(one.matches.rankings)]
        assert [each.sum() for each in told] == [
            (own.confidences >= raw.thresholds[label]).sum() for label, own in enumerate(raw.matches.rankings)
        ]
    assert (calibrated.thresholds > raw.thresholds).all()
