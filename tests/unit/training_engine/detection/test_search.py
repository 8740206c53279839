"""The search: held-out images judge, all images teach, and what was stopped goes on to the same end."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sightsmith_training.engine.classification.halving import Budget
from sightsmith_training.engine.detection import learning, pace, search, trials
from sightsmith_training.engine.detection.design import Design
from sightsmith_training.engine.detection.ground import DetectorInput, DetectorWish, Ground
from sightsmith_training.engine.detection.judgement import USUAL_THRESHOLD
from sightsmith_training.engine.detection.labelling import Labelling
from sightsmith_training.engine.detection.search import search_detector

from .shapes import draw_shapes

_SIDE = 64


@pytest.fixture(autouse=True, scope="module")
def _few_steps():
    with pytest.MonkeyPatch.context() as patch:
        for module in (pace, search):
            patch.setattr(module, "LEAST_STEPS", 10)
        patch.setattr(trials, "_FEW_BOXES", 0)
        yield


def _given(images, **judged):
    squares, labellings = draw_shapes(images, _SIDE)
    return DetectorInput(squares, labellings, 2, [(128, 96)] * images, **judged)


def _wish(folder, effort, **wish):
    return DetectorWish(effort, "balanced", seed=1, threads=2, folder=folder, pretrained=None, **wish)


def _search(folder, images=8, effort="balanced", advance=lambda *told: None, seconds=0.1, **wish):
    folder.mkdir(exist_ok=True)
    return search_detector(_given(images), _wish(folder, effort, **wish), Budget(seconds), advance)


def _same(one, other):
    others = other.state_dict()
    return all(torch.equal(weights, others[name]) for name, weights in one.state_dict().items())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A search that nothing stopped, and what it told."""
    told = []
    found = _search(tmp_path_factory.mktemp("whole"), advance=lambda *each: told.append(each))
    return found, told


def test_a_trial_is_judged_and_the_last_training_sees_all_images(whole):
    found, told = whole
    assert found.side == _SIDE
    assert found.trials == [found.chosen]
    assert not found.chosen.dropped
    assert len(found.judgement.rows) == len(found.judgement.detections)
    assert found.thresholds.shape == (2,)
    assert list(found.losses) == [10]
    assert 0 < found.network_share <= 1
    assert [(activity, share) for activity, share, _ in told] == [("tuning", 1), ("fitting", 0), ("fitting", 1)]
    assert any("pretrained" in note for note in found.notes)
    assert not found.learning  # There was no time for it.


def test_it_tells_what_is_trained_and_how_it_goes(tmp_path):
    notes = []
    _search(tmp_path, effort="fast", note=lambda *note: notes.append(note))
    ((activity, figures),) = notes
    assert activity == f"nanodet-g {_SIDE} px, 0 stages frozen: step 10 of 10"
    assert figures["step"] == 10
    assert figures["loss"] > 0


def test_few_images_all_judge_if_there_is_time_and_tell_what_more_of_them_would_bring(tmp_path, monkeypatch):
    # Seven trainings of three steps; the last one has no use for most of the time.
    monkeypatch.setattr(pace, "_STEPS", (3,))
    monkeypatch.setattr(pace, "LEAST_STEPS", 3)
    monkeypatch.setattr(learning, "_ENOUGH_BOXES", 1)
    found = _search(tmp_path, images=12, seconds=600)
    assert found.judgement.rows.tolist() == list(range(12))
    assert found.chosen.parameters["judged_images"] == 12
    trials = sorted(file.name for file in tmp_path.glob("trial-*.pt"))
    assert trials == [f"trial-{_SIDE}-0-part1.pt", f"trial-{_SIDE}-0-part2.pt", f"trial-{_SIDE}-0.pt"]
    assert [point.images for point in found.learning] == [2, 4, 8]
    assert all(point.interval.lower <= point.score <= point.interval.upper for point in found.learning)


def test_fast_keeps_what_was_judged(tmp_path):
    _search(tmp_path, effort="fast")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["pace.json", f"trial-{_SIDE}-0.pt"]


def test_best_tries_several_designs_and_says_why_others_were_dropped(tmp_path):
    found = _search(tmp_path, effort="best")
    # There is no larger picture than those of 64 pixels, and nothing is frozen that was not pretrained.
    ways = ("mosaic", "paste", "flip")
    tried = [tuple(way for way in ways if trial.parameters[way]) for trial in found.trials]
    assert (tried[0], len(tried)) == ((), 4)
    # Each changes one thing more about the best so far.
    assert [trial[-1] for trial in tried[1:]] == list(ways)
    assert "mosaics" in found.trials[1].name
    # Another design has a pace of its own.
    assert len(list(tmp_path.glob("pace-*.json"))) == len(ways)
    assert [not trial.dropped for trial in found.trials].count(True) == 1


def test_with_few_boxes_balanced_has_two_trials_and_composed_scenes_one(tmp_path, monkeypatch):
    monkeypatch.setattr(trials, "_FEW_BOXES", 30)
    grounds = [Ground(_given(images), _wish(tmp_path, "balanced")) for images in (59, 60)]
    grounds.append(Ground(_given(8, judged=np.arange(2)), _wish(tmp_path, "balanced")))
    assert [trials.trial_share(ground) for ground in grounds] == [0.125, 0.25, 0.25]


def test_tiny_boxes_have_best_try_an_enlarged_input(tmp_path):
    tiny = [Labelling(np.array([[0.5, 0.5, 0.55, 0.55]], np.float32), np.zeros(1, np.intp))] * 8
    given = replace(_given(8), labellings=tiny)
    changes = {
        effort: trials._changes(Ground(given, _wish(tmp_path, effort))) for effort in ("fast", "balanced", "best")
    }
    assert [len(of_effort) for of_effort in changes.values()] == [0, 0, 6]
    assert changes["best"][0](Design(_SIDE)) == Design(_SIDE, enlargement=2)


def test_very_few_images_are_all_learned_from(tmp_path):
    found = _search(tmp_path, images=4)
    assert (found.chosen, found.judgement, found.trials) == (None, None, [])
    assert found.thresholds.tolist() == [USUAL_THRESHOLD] * 2
    assert any("too few images" in note for note in found.notes)


class _KilledError(Exception):
    pass


def test_what_was_killed_goes_on_elsewhere_to_the_same_end(tmp_path, whole):
    undisturbed, _ = whole
    kept = {}

    def die_in_the_last_training(activity, share, score):
        if activity == "fitting":
            raise _KilledError

    def save(file):
        kept[file.name] = file.read_bytes()

    with pytest.raises(_KilledError):
        _search(tmp_path / "killed", advance=die_in_the_last_training, save=save)
    assert sorted(kept) == ["learning-pace.json", "pace.json", f"trial-{_SIDE}-0.pt", "trial-pace.json"]

    def restore(file):
        if file.name in kept:
            file.write_bytes(kept[file.name])

    resumed = _search(tmp_path / "resumed", restore=restore)
    assert _same(undisturbed.network, resumed.network)
    assert np.array_equal(undisturbed.thresholds, resumed.thresholds)
    assert resumed.chosen.map_50_95 == undisturbed.chosen.map_50_95


def test_damaged_checkpoints_mean_beginning_anew(tmp_path, whole):
    """As after a crash of the store, which may leave half of a file."""
    undisturbed, _ = whole
    again = _search(tmp_path, restore=lambda file: file.write_bytes(b"PK\x03\x04 and no more"))
    assert _same(undisturbed.network, again.network)
    assert again.chosen.map_50_95 == undisturbed.chosen.map_50_95
