"""Laws that the parts of the engine keep."""

from collections.abc import Mapping

import numpy as np
import pytest

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
