"""Which predictions are picked for review, and what is taken of them while the store is slow."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from sightsmith.api.events.v1.event_pb2 import PredictionSampled
from sightsmith.database import Database
from sightsmith.names import DeploymentName
from sightsmith.objects import Objects, open_object_store
from sightsmith_inference.findings import read_findings
from sightsmith_inference.models import Runtime, ServableModel
from sightsmith_inference.sampling import OFF, Sampler, SamplingPolicy

fractions = st.floats(0, 1)
chances = st.floats(0, 1, exclude_max=True)


@given(fractions, chances)
def test_nothing_is_picked_unless_asked_for(best: float, chance: float) -> None:
    assert not OFF.is_on
    assert OFF.reason_for(best, chance) is None


@given(fractions, fractions, chances, fractions)
def test_what_is_below_the_confidence_is_always_picked(best: float, below: float, chance: float, share: float) -> None:
    reason = SamplingPolicy(share, below).reason_for(best, chance)
    if best < below:
        assert reason == PredictionSampled.REASON_LOW_CONFIDENCE
    else:
        assert reason == (PredictionSampled.REASON_RANDOM if chance < share else None)


def test_a_share_of_predictions_is_picked() -> None:
    chances = np.random.default_rng(1).random(10_000)
    picked = sum(SamplingPolicy(share=0.1).reason_for(0.9, float(chance)) is not None for chance in chances)
    # Three standard deviations of a binomial distribution are 90.
    assert picked == pytest.approx(1000, abs=90)


@pytest.mark.parametrize("value", [-0.01, 1.01, math.nan, math.inf])
def test_a_policy_of_no_fractions_is_refused(value: float) -> None:
    violations = SamplingPolicy(share=value, below_confidence=value).violations()
    assert [violation.field for violation in violations] == [
        "deployment.sampling.share",
        "deployment.sampling.below_confidence",
    ]
    assert SamplingPolicy(1, 0).violations() == []


def test_what_finds_no_room_is_dropped_and_counted(tmp_path: Path) -> None:
    def dropped() -> float:
        return REGISTRY.get_sample_value("sightsmith_inference_sampled_predictions_total", {"outcome": "dropped"}) or 0

    model = ServableModel("m", "projects/shop/models/v1", Runtime.ONNX, ("a", "b"), 8, 4)
    # Nothing is connected, and nobody takes from the queue: as when database and store are away for long.
    nowhere = Database("postgresql+psycopg://nowhere")
    sampler = Sampler(nowhere, Objects(open_object_store(tmp_path.as_uri())), max_waiting_bytes=250)
    before = dropped()
    findings = read_findings(model, [np.array([[0.2, 0.8]] * 5, np.float32)])
    sampler.offer(SamplingPolicy(share=1), DeploymentName("shop", "live"), model, [b"x" * 100] * 5, findings)
    assert dropped() - before == 3
    assert list(tmp_path.iterdir()) == []
