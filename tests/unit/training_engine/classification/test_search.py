"""The choice between candidates, and a whole search over small pictures."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sightsmith_training.engine.classification.candidates import Trial, choose, with_reasons
from sightsmith_training.engine.classification.halving import Budget
from sightsmith_training.engine.classification.heads import activate
from sightsmith_training.engine.classification.search import Found, search
from sightsmith_training.engine.classification.search_input import SearchInput, SearchWish
from sightsmith_training.engine.classification.tuned_network import to_planes

from .shapes import patches, small_backbone

_LABELS = 3


def _trial(kind: str, wrong: int | np.ndarray, milliseconds: float, images: int = 120) -> Trial:
    """Answers wrongly for so many images, or for those that are marked."""
    truth = np.eye(_LABELS, dtype=bool)[np.arange(images) % _LABELS]
    logits = truth * 4.0
    failed = wrong if isinstance(wrong, np.ndarray) else np.arange(images) < wrong
    logits[failed] = np.roll(logits[failed], 1, axis=1)
    return Trial(kind, ("net",), {}, "softmax", logits[None], np.arange(images), truth, 1.0, milliseconds)


def test_a_probe_wins_ties_and_small_gains() -> None:
    probe = _trial("probe", 10, 5.0)
    for wrong in (10, 12, 60):
        assert choose([probe, _trial("fine_tuning", wrong, 5.0)], "accuracy", 0) is probe


def test_fine_tuning_that_is_clearly_better_replaces_the_probe_unless_speed_is_wished_for() -> None:
    probe, tuned = _trial("probe", 40, 5.0), _trial("fine_tuning", 5, 9.0)
    assert choose([probe, tuned], "accuracy", 0) is tuned
    assert choose([probe, tuned], "balanced", 0) is tuned
    assert choose([probe, tuned], "speed", 0) is probe


def test_as_good_fine_tunings_seldom_replace_the_probe() -> None:
    """Nine of them, and 55 images: what `balanced` has of 274 photos if there is no time for more than the race."""
    random = np.random.default_rng(11)
    searches = [
        [_trial("probe", random.permutation(55) < 11, 5.0, 55)]
        + [_trial("fine_tuning", random.random(55) < 0.2, 5.0, 55) for _ in range(9)]
        for _ in range(60)
    ]
    replaced = sum(choose(trials, "accuracy", 0).kind == "fine_tuning" for trials in searches)
    assert replaced <= 6


def test_what_was_passed_over_on_few_images_does_not_come_back() -> None:
    probe, lucky, judged_again = _trial("probe", 40, 5.0), _trial("fine_tuning", 0, 5.0), _trial("fine_tuning", 5, 5.0)
    few = lucky.at(np.arange(30))
    assert choose([probe, few, judged_again], "accuracy", 0) is judged_again
    assert choose([probe, few, _trial("fine_tuning", 39, 5.0)], "accuracy", 0) is probe


def test_among_equals_speed_takes_the_cheapest_and_accuracy_the_best() -> None:
    cheap, dear = _trial("probe", 11, 1.0), _trial("probe", 10, 9.0)
    assert choose([cheap, dear], "speed", 0) is cheap
    assert choose([cheap, dear], "accuracy", 0) is dear
    reasons = [trial.dropped for trial in with_reasons([cheap, dear], cheap)]
    assert reasons == ["", "not enough better than the chosen one for what it costs"]


@pytest.mark.parametrize(("activation", "effort"), [("softmax", "fast"), ("softmax", "balanced"), ("sigmoid", "best")])
def test_a_search_finds_a_model_and_records_everything(activation: str, effort: str, tmp_path: Path) -> None:
    given, found, told = _search(activation, effort, tmp_path)
    kinds = {trial.kind for trial in found.trials}
    assert kinds == ({"probe"} if effort == "fast" else {"probe", "fine_tuning"})
    assert [id(trial) for trial in found.trials if not trial.dropped] == [id(found.chosen)]
    assert found.scores.shape == (len(found.judged), _LABELS)
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    assert {phase for phase, *_ in told} >= {"probing", "fitting"}
    assert all(0 <= share <= 1 + 1e-9 for _, share, _ in told)
    learned = [point.images for point in found.learning]
    assert learned == sorted(set(learned))
    assert len(learned) == (0 if effort == "fast" else 4)
    assert (activate(_logits(found, given), activation).argmax(axis=1) == given.truth.argmax(axis=1)).mean() > 0.8


def test_a_fine_tuned_winner_is_told_once_and_not_as_dropped(tmp_path: Path) -> None:
    _, found, _ = _search("softmax", "balanced", tmp_path, 600.0, half_blind=True)
    assert found.chosen.kind == "fine_tuning"
    assert [id(trial) for trial in found.trials if not trial.dropped] == [id(found.chosen)]
    assert found.network_share is not None
    assert len(found.judged) == 45  # On one split it raced; on the others it was judged once more.


def test_the_same_seed_finds_the_same_head(tmp_path: Path) -> None:
    one, other = (_search("softmax", "fast", tmp_path)[1] for _ in range(2))
    np.testing.assert_array_equal(one.head.weights, other.head.weights)


def test_candidates_without_time_are_named(tmp_path: Path) -> None:
    _, found, _ = _search("softmax", "balanced", tmp_path, seconds=0.0)
    assert found.chosen.kind == "probe"
    assert [each.reason for each in found.untried] == ["no time was left for rung 1"] * 3
    assert len({each.name for each in found.untried}) == 3


def _search(
    activation: str, effort: str, folder: Path, seconds: float = 60.0, *, half_blind: bool = False
) -> tuple[SearchInput, Found, list[tuple[str, float, float | None]]]:
    """Searches; features of the half-blind are half noise, which tuned networks do not see."""
    pixels, truth = patches(45, _LABELS)
    features = small_backbone()(to_planes(pixels)).detach().numpy()
    if half_blind:
        features = features + np.random.default_rng(1).normal(0, 2 * features.std(axis=0), features.shape)
    given = SearchInput({"small": features}, {"small": 0.001}, pixels, truth, activation)
    wish = SearchWish(effort, "balanced", 3, 2, folder, lambda name: small_backbone())
    told: list[tuple[str, float, float | None]] = []
    return given, search(given, wish, Budget(seconds), lambda *each: told.append(each)), told


def _logits(found: Found, given: SearchInput) -> np.ndarray:
    ((_, tuned),) = found.backbones
    with torch.inference_mode():
        features = (tuned or small_backbone())(to_planes(given.pixels)).numpy()
    return found.head.logits(np.sqrt(features + np.float32(0.001)))
