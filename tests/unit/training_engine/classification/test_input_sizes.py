"""A search that looks at larger pictures, too."""

from pathlib import Path

import numpy as np
import pytest

from sightsmith_training.engine.classification.halving import Budget
from sightsmith_training.engine.classification.input_sizes import SizedBackbone
from sightsmith_training.engine.classification.search import Found, search
from sightsmith_training.engine.classification.search_input import SearchInput, SearchWish
from sightsmith_training.engine.classification.tuned_network import to_planes

from .shapes import patches, small_backbone


def _search(folder: Path, *, seconds: float = 60.0, takes: float = 1.0, gone: bool = False) -> Found:
    """At the usual size the features are nearly noise."""
    pixels, truth = patches(45)
    clear = small_backbone()(to_planes(pixels)).detach().numpy()
    noise = np.random.default_rng(1).random(clear.shape, dtype=np.float32)
    given = SearchInput({"small": noise}, {"small": 0.001}, pixels, truth, "softmax")
    sized = SizedBackbone("small-32px", 0.004, takes, lambda advance: None if gone else clear)
    wish = SearchWish("fast", "balanced", 3, 1, folder, lambda name: small_backbone(), other_size={"small": sized})
    return search(given, wish, Budget(seconds), lambda *each: None)


def test_the_better_size_is_chosen_and_told_with_what_it_costs(tmp_path: Path) -> None:
    found = _search(tmp_path)
    assert found.backbones == [("small-32px", None)]
    assert found.chosen.milliseconds == 4
    assert found.head.weights.shape == (3, 16)
    assert {trial.backbones for trial in found.trials} == {("small",), ("small-32px",)}


@pytest.mark.parametrize("obstacle", [{"takes": 40.0}, {"gone": True}, {"seconds": 0.0}])
def test_without_time_or_images_the_usual_size_is_kept(tmp_path: Path, obstacle: dict) -> None:
    found = _search(tmp_path, **obstacle)
    assert found.backbones == [("small", None)]
    assert len(found.trials) == 4
