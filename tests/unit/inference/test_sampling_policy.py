"""Which predictions are picked for review, why, and how likely that was."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightsmith.api.events.v1.event_pb2 import PredictionSampled
from sightsmith_inference.findings import Findings
from sightsmith_inference.models import Runtime, ServableModel, Task
from sightsmith_inference.sampling_policy import OFF, Pick, SamplingPolicy, margin_of

fractions = st.floats(0, 1)
chances = st.floats(0, 1, exclude_max=True)
policies = st.builds(SamplingPolicy, *[st.just(0.0) | st.floats(1e-6, 1)] * 5)


@given(fractions, fractions, chances)
def test_nothing_is_picked_unless_asked_for(best: float, margin: float, chance: float) -> None:
    assert not OFF.is_on
    assert OFF.pick(best, margin, lambda: chance) is None


@given(fractions, fractions, chances)
def test_all_that_is_below_the_confidence_is_picked_unless_a_share_is_named(
    best: float, below: float, chance: float
) -> None:
    picked = SamplingPolicy(below_confidence=below).pick(best, math.inf, lambda: chance)
    assert picked == (Pick(PredictionSampled.REASON_LOW_CONFIDENCE) if best < below else None)
    some = SamplingPolicy(below_confidence=below, below_confidence_share=0.5).pick(best, math.inf, lambda: chance)
    assert (some is not None) == (best < below and chance < 0.5)


@given(policies, fractions, fractions)
def test_the_least_chance_picks_whatever_can_be_picked(policy: SamplingPolicy, best: float, margin: float) -> None:
    picked = policy.pick(best, margin, lambda: 0.0)
    assert policy.pick(best, margin, lambda: 1 - 1e-12) is None or picked is not None
    if picked is not None:
        assert policy.picks_by_answer
        # Only with a share of all predictions is every prediction one that could have been picked.
        assert (picked.probability > 0) == (policy.share > 0)
        assert policy.share - 1e-12 <= picked.probability <= 1 or policy.share == 0


def test_the_probability_is_how_often_it_is_picked() -> None:
    policy = SamplingPolicy(0.1, 0.8, 0.3, 0.2, 0.5)
    random = Random(3)
    picks = [policy.pick(0.7, 0.1, random.random) for _ in range(20_000)]
    picked = [pick for pick in picks if pick is not None]
    expected = 1 - 0.9 * 0.7 * 0.5
    assert {round(pick.probability, 9) for pick in picked} == {round(expected, 9)}
    # Four standard deviations of a binomial distribution.
    assert len(picked) / len(picks) == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 20_000))
    assert {pick.reason for pick in picked} == {
        PredictionSampled.REASON_LOW_CONFIDENCE,
        PredictionSampled.REASON_NEAR_THRESHOLD,
        PredictionSampled.REASON_RANDOM,
    }


@pytest.mark.parametrize(
    ("task", "thresholds", "confidences", "labels", "margin"),
    [
        (Task.CLASSIFICATION, None, [0.6, 0.35], [1, 0], 0.25),
        (Task.CLASSIFICATION, None, [0.6], [1], math.inf),
        (Task.CLASSIFICATION, (0.3, 0.9), [0.6, 0.35], [1, 0], 0.3),
        (Task.MULTI_LABEL_CLASSIFICATION, (0.3, 0.9), [0.6, 0.35], [1, 0], 0.05),
        (Task.DETECTION, (0.3, 0.9), [], [], math.inf),
        (Task.DETECTION, (0.3, 0.9), [0.88, 0.1], [1, 1], 0.02),
    ],
)
def test_how_near_a_score_is_to_its_threshold(
    task: Task, thresholds: tuple[float, ...] | None, confidences: list[float], labels: list[int], margin: float
) -> None:
    model = ServableModel("m", "projects/shop/models/v1", Runtime.ONNX, ("a", "b"), 8, 4, task, thresholds)
    found = Findings(np.array(confidences, np.float32), np.array(labels, np.int64))
    assert margin_of(found, model) == pytest.approx(margin, abs=1e-6)


@pytest.mark.parametrize("value", [-0.01, 1.01, math.nan, math.inf])
def test_a_policy_of_no_fractions_is_refused(value: float) -> None:
    violations = SamplingPolicy(*[value] * 7).violations()
    assert [violation.field.removeprefix("deployment.sampling.") for violation in violations] == [
        "share",
        "below_confidence",
        "below_confidence_share",
        "threshold_margin",
        "threshold_margin_share",
        "disagreement_share",
        "drift_share",
    ]
    assert SamplingPolicy(1, 0).violations() == []


@pytest.mark.parametrize("days", [-1.0, 4000.0, math.nan])
def test_a_time_to_keep_that_cannot_be_is_refused(days: float) -> None:
    (violation,) = SamplingPolicy(share=1, keep_days=days).violations()
    assert violation.field == "deployment.sampling.keep_duration"
