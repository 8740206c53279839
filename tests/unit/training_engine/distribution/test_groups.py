"""Two processes that train together, as two GPUs would, over Gloo."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sightsmith_training.engine.classification.fine_tuning import Recipe
from sightsmith_training.engine.distribution.groups import run_in_group
from sightsmith_training.engine.errors import TrainingError

from ..classification.shapes import blank_head, examples, small_backbone
from .work import fine_tune, refuse

_RECIPE = Recipe(body_rate=5e-3, frozen_share=0.3, epochs=4, batch=13, averaging=0.5)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members find the work that these tests give them."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[4]))


def test_a_group_learns_what_one_process_learns_even_if_a_member_breaks_off(tmp_path: Path) -> None:
    given = examples(60)
    pixels = np.lib.format.open_memmap(tmp_path / "pixels.npy", "w+", np.uint8, given.pixels.shape)
    pixels[:] = given.pixels
    given = replace(given, pixels=pixels)
    accident = tmp_path / "accident"
    start = (small_backbone(), blank_head(), _RECIPE, given)
    alone = fine_tune(*start, tmp_path / "alone.pt", accident, advance=lambda *told: None)
    accident.touch()
    told: list[tuple[float, int]] = []
    together = run_in_group(
        2,
        fine_tune,
        *start,
        tmp_path / "together.pt",
        accident,
        advance=lambda share, epochs: told.append((share, len(epochs))),
    )
    assert not accident.exists()
    assert (alone[-1], together[-1]) == (1, 2)
    for one, other in zip(alone[:-1], together[:-1], strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-4)
    assert len(together[0]) == _RECIPE.epochs
    # What broke off begins anew behind its last epoch.
    assert [epochs for _, epochs in told] == sorted(epochs for _, epochs in told)
    assert all(0 < share <= 1 for share, _ in told)


def test_the_reason_of_a_failure_comes_through() -> None:
    with pytest.raises(TrainingError) as raised:
        run_in_group(2, refuse, 1)
    assert raised.value.failure.reason == "DISK_FULL"
    assert raised.value.failure.metadata == {"free": "0"}
