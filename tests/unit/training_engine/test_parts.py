"""Laws that the parts of the engine keep."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from sightsmith_training.engine import heads, network, progress
from sightsmith_training.engine.batches import run_in_batches
from sightsmith_training.engine.contract import Phase, Progress
from sightsmith_training.engine.progress import ProgressMeter


@pytest.mark.parametrize("images", [1, 4, 5, 6, 30])
def test_batches_keep_the_order(images: int) -> None:
    pixels = np.arange(images, dtype=np.uint8).reshape(images, 1, 1, 1)
    sizes: list[int] = []

    def score(batch: np.ndarray) -> np.ndarray:
        sizes.append(len(batch))
        return batch.reshape(-1, 1).astype(np.float32)

    assert run_in_batches(score, pixels, 1, first=(1, 5)).ravel().tolist() == list(range(images))
    assert sizes[0] == 1
    assert sizes[1:2] == ([min(5, images - 1)] if images > 1 else [])


def test_progress_never_goes_back_and_ends_at_the_end() -> None:
    sent: list[Progress] = []
    costs: Mapping[Phase, float] = {"reading": 1.0, "embedding": 3.0}
    meter = ProgressMeter(costs, sent.append)
    meter.enter("reading")
    meter.advance(0.5)
    meter.enter("embedding")
    meter.advance(0.5, best_score=0.4)
    meter.advance(0.2)
    meter.finish()
    percents = [message.percent for message in sent]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert sent[-1].best_score == 0.4
    assert list(meter.seconds) == ["reading", "embedding"]


def test_what_is_new_is_told_at_once_until_the_phase_ends() -> None:
    sent: list[Progress] = []
    meter = ProgressMeter({"searching": 1.0, "fitting": 1.0}, sent.append)
    meter.enter("searching")
    meter.note("a probe", {})
    meter.note("a probe", {"macro_f1": 0.5})
    meter.note("another probe", {"macro_f1": 0.6})
    meter.enter("fitting")
    told = [(message.activity, message.metrics) for message in sent]
    assert told == [("", {}), ("a probe", {}), ("another probe", {"macro_f1": 0.6}), ("", {})]


def test_what_was_in_vain_takes_no_percentage_back() -> None:
    sent: list[Progress] = []
    meter = ProgressMeter({"reading": 1.0, "searching": 8.0, "checking": 1.0}, sent.append)
    for phase in ("reading", "searching", "checking"):
        meter.enter(phase)
    assert sent[-1].percent == 90
    meter.plan_anew({"reading": 2.0, "embedding": 2.0})
    assert (meter.phase, meter.cost("embedding")) == ("reading", 2.0)
    meter.enter("reading")
    meter.enter("embedding")
    assert sent[-1].percent == 95
    assert sent[-1].remaining_seconds is not None
    assert sent[-1].remaining_seconds < 2
    meter.finish()
    percents = [message.percent for message in sent]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert list(meter.seconds) == ["reading", "searching", "checking", "embedding"]


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_time_left_follows_the_pace_of_what_was_measured(clock: Clock) -> None:
    sent: list[Progress] = []
    meter = ProgressMeter({"reading": 40.0, "fitting": 100.0, "checking": 10.0}, sent.append)
    meter.enter("reading")
    clock.now += 140  # Three times as long, as far as the plan is not trusted.
    meter.enter("fitting")
    assert meter.pace == pytest.approx(3)
    assert sent[-1].remaining_seconds == pytest.approx(330)
    clock.now += 100
    meter.advance(0.25)
    assert sent[-1].remaining_seconds == pytest.approx(330)
    clock.now += 60
    meter.note("still at it", {})
    assert sent[-1].remaining_seconds == pytest.approx(270)
    clock.now += 140
    meter.advance(0.75)
    assert sent[-1].remaining_seconds == pytest.approx(130)
    meter.finish()
    assert sent[-1].remaining_seconds == 0


def test_time_left_never_counts_up_while_what_there_is_no_time_for_is_left_out(clock: Clock) -> None:
    sent: list[Progress] = []
    meter = ProgressMeter({"reading": 2.0, "searching": 100.0, "checking": 10.0}, sent.append)
    meter.enter("reading")
    meter.enter("searching", clock.now + 90)
    left = []
    for share in np.linspace(0.02, 0.2, 10):  # By its own speed it would take 400 seconds.
        clock.now += 8
        meter.advance(float(share))
        left.append(sent[-1].remaining_seconds)
    assert left == sorted(left, reverse=True)
    assert left[0] == pytest.approx(82)
    assert left[-1] == pytest.approx(10, abs=2)
    pace = meter.pace
    meter.enter("checking")
    assert meter.pace == pace


@pytest.mark.parametrize("features", [np.linspace(-4, 4, 81, dtype=np.float32), np.float32([-1e-30, -0.0, 0, 1e-30])])
def test_features_are_evened_out_alike_everywhere(features: np.ndarray) -> None:
    """In numpy, in torch, and, as every comparison of exports shows, in exported graphs."""
    evened = heads.even_out(features)
    np.testing.assert_allclose(network.even_out(torch.from_numpy(features)).numpy(), evened, rtol=1e-5)
    assert (np.diff(evened) >= 0).all()
    np.testing.assert_allclose(evened + heads.even_out(-features), 2 * heads.EVENED_ZERO, rtol=1e-6)
    positive = np.abs(features)
    np.testing.assert_array_equal(heads.even_out(positive), np.sqrt(positive + np.float32(0.001)))
