"""A search that goes on later, in an empty folder and with little time, takes over what was found out and decided."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from sightsmith_training.engine.classification import search as search_module
from sightsmith_training.engine.classification import tuning_candidate
from sightsmith_training.engine.classification.halving import Budget
from sightsmith_training.engine.classification.input_sizes import SizedBackbone
from sightsmith_training.engine.classification.kept import Kept
from sightsmith_training.engine.classification.search import Found, search
from sightsmith_training.engine.classification.search_input import SearchInput, SearchWish
from sightsmith_training.engine.classification.tuned_network import to_planes

from .shapes import patches, small_backbone

_STAGES = (
    "probe of dear",
    "probe of cheap + dear",
    "probe of cheap-32px",
    "fine_tuning cheap (body_rate 0.0005): to epoch 1, 36 images",
    "fine_tuning cheap (body_rate 0.0005): to epoch 2, 36 images",
    "to epoch 4, 36 images",
    "further",
    "to epoch 4, 45 images",
)
"""What is going on when the search is killed: each time later than the time before."""


class _KilledError(Exception):
    pass


@pytest.fixture(autouse=True, scope="module")
def small_race() -> Iterator[None]:
    """Four fine-tunings of one epoch, two of two, one of four."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_module, "BODY_RATES", (2e-4, 5e-4))
        for module in (search_module, tuning_candidate):
            patch.setattr(module, "RUNGS", (1, 2, 4))
        yield


@dataclass
class Job:
    """Attempts at one search, each in a folder of its own; `kept` outlives them."""

    folder: Path
    kept: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    numbers: itertools.count = field(default_factory=itertools.count)

    def attempt(self, seconds: float, killed_at: str = "") -> Found:
        """Features of the usual size are half noise, which tuned networks do not see."""
        pixels, truth = patches(45)
        clear = small_backbone()(to_planes(pixels)).detach().numpy()
        random = np.random.default_rng(1)
        noisy = clear + random.normal(0, 2 * clear.std(axis=0), clear.shape)
        features = {"cheap": noisy.astype(np.float32), "dear": random.random(clear.shape, dtype=np.float32)}
        given = SearchInput(features, {"cheap": 0.001, "dear": 0.002}, pixels, truth, "softmax")
        sized = SizedBackbone("cheap-32px", 0.004, 1.0, lambda advance: features["dear"])
        wish = SearchWish(
            "balanced",
            "balanced",
            seed=3,
            threads=2,
            checkpoints=self._empty_folder(),
            load=lambda name: small_backbone(),
            save=self._save,
            restore=self._restore,
            note=self._killing(killed_at),
            other_size={"cheap": sized},
        )
        return search(given, wish, Budget(seconds), lambda *told: None)

    def _empty_folder(self) -> Path:
        folder = self.folder / f"attempt{next(self.numbers)}"
        folder.mkdir()
        return folder

    def _save(self, file: Path) -> None:
        self.kept[file.name] = file.read_bytes()

    def _restore(self, file: Path) -> None:
        if not file.exists() and file.name in self.kept:
            file.write_bytes(self.kept[file.name])

    def _killing(self, stage: str) -> Callable[[str, Mapping[str, float]], None]:
        def note(activity: str, metrics: Mapping[str, float]) -> None:
            further = "split2" in " ".join(self.kept) and "45 images" not in activity
            if stage and (activity.endswith(stage) or (stage == "further" and further)):
                raise _KilledError
            self.notes.append(activity)

        return note


def _outcome(found: Found) -> tuple[object, ...]:
    tried = [(trial.name, trial.mean, trial.dropped) for trial in found.trials]
    judged = (found.judged.tolist(), found.scores.tolist(), found.head.weights.tolist())
    return found.chosen.name, tried, judged, found.untried, found.learning, found.chosen.logits.tolist()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, Found]:
    """A search that nothing disturbs."""
    job = Job(tmp_path_factory.mktemp("whole"))
    return job, job.attempt(600.0)


def test_there_are_all_stages_to_be_killed_in(whole: tuple[Job, Found]) -> None:
    job, found = whole
    assert found.chosen.kind == "fine_tuning"
    assert len(found.judged) == 45
    for stage in _STAGES:
        assert stage == "further" or any(activity.endswith(stage) for activity in job.notes), stage


@pytest.mark.parametrize("seconds", [0.0, -60.0])
def test_without_time_the_same_is_chosen_and_nothing_is_done_again(whole: tuple[Job, Found], seconds: float) -> None:
    job, found = whole
    told = len(job.notes)
    again = job.attempt(seconds)
    assert _outcome(again) == _outcome(found)
    # The last training alone is looked for: its network is needed.
    assert {activity for activity in job.notes[told:] if activity.startswith("fine_tuning")} == {job.notes[told - 1]}


def test_killed_in_each_stage_it_comes_to_the_same_end(whole: tuple[Job, Found], tmp_path: Path) -> None:
    job = Job(tmp_path)
    for stage in _STAGES:
        with pytest.raises(_KilledError):
            job.attempt(600.0, stage)
    # Nothing but the last training was left to do, for which there is always time.
    assert _outcome(job.attempt(-60.0))[:3] == _outcome(whole[1])[:3]


def test_what_was_not_decided_yet_is_decided_in_the_time_that_is_left(tmp_path: Path) -> None:
    job = Job(tmp_path)
    with pytest.raises(_KilledError):
        job.attempt(600.0, _STAGES[4])
    found = job.attempt(0.0)
    # All four had begun, and the second rung of two; nobody begins a third one.
    assert found.untried == []
    assert [trial.kind for trial in found.trials].count("fine_tuning") == 4
    assert sum("split0-to2" in name for name in job.kept) == 2
    assert not any("split0-to4" in name for name in job.kept)
    assert {trial.backbones for trial in found.trials} >= {("cheap",), ("dear",), ("cheap", "dear"), ("cheap-32px",)}


def test_damage_is_as_good_as_nothing(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    assert kept.read_or_do("figures", lambda: {"score": 1.0}) == {"score": 1.0}
    assert kept.read_or_do("figures", lambda: {"score": 2.0}) == {"score": 1.0}
    assert kept.decide("is there time", lambda: True)
    assert Kept(tmp_path).decide("is there time", lambda: False)
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:40])
    assert kept.read_or_do("figures", lambda: {"score": 2.0}) == {"score": 2.0}
    assert not Kept(tmp_path).decide("is there time", lambda: False)


def test_other_features_are_probed_anew(tmp_path: Path) -> None:
    pixels, truth = patches(30)
    one = small_backbone()(to_planes(pixels)).detach().numpy()
    scores = []
    for features in (one, np.random.default_rng(0).random(one.shape, dtype=np.float32), one):
        given = SearchInput({"net": features}, {"net": 0.001}, pixels, truth, "softmax")
        wish = SearchWish("fast", "balanced", 3, 1, tmp_path, lambda name: small_backbone())
        scores.append(search(given, wish, Budget(60.0), lambda *told: None).chosen.mean)
    assert scores[0] == scores[2] > scores[1]
