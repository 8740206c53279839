"""What was tuned is kept outside of the training's folder, which goes when the training is killed."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from sightsmith_training.engine.classification import tuning_candidate
from sightsmith_training.engine.classification.fine_tuning import Recipe
from sightsmith_training.engine.classification.folds import plan_folds
from sightsmith_training.engine.classification.kept import Kept
from sightsmith_training.engine.classification.tuning_candidate import TuningCandidate, TuningGround
from sightsmith_training.engine.progress import Note, no_note

from .shapes import blank_head, patches, small_backbone


class Elsewhere:
    """Keeps copies of files in another folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.saved: list[str] = []

    def save(self, file: Path) -> None:
        self.saved.append(file.name)
        shutil.copyfile(file, self.folder / file.name)

    def restore(self, file: Path) -> None:
        if not file.exists() and (self.folder / file.name).exists():
            shutil.copyfile(self.folder / file.name, file)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Elsewhere:
    (tmp_path / "elsewhere").mkdir()
    return Elsewhere(tmp_path / "elsewhere")


def candidate(folder: Path, elsewhere: Elsewhere, note: Note = no_note) -> TuningCandidate:
    folder.mkdir()
    pixels, truth = patches(24)
    split = plan_folds(truth, 0)[:1]
    kept = Kept(folder, elsewhere.save, elsewhere.restore)
    ground = TuningGround(pixels, truth, "softmax", split, kept, 3, 1, note=note)
    return TuningCandidate("small", 0.001, small_backbone, lambda rows: blank_head(), Recipe(body_rate=0.01), ground)


def test_it_tells_what_is_trained_and_how_every_epoch_went(tmp_path: Path, elsewhere: Elsewhere) -> None:
    notes = []
    tried = candidate(tmp_path / "told", elsewhere, lambda *note: notes.append(note))
    tried.train(0)
    assert {activity for activity, _ in notes} == {"fine_tuning small (body_rate 0.01): to epoch 3, 19 images"}
    assert [figures.get("epoch", 0) for _, figures in notes] == sorted(figures.get("epoch", 0) for _, figures in notes)
    curve = {figures["epoch"]: figures for _, figures in notes if figures}
    assert sorted(curve) == [1, 2, 3]
    assert all(figures["loss"] > 0 and figures["held_out_loss"] > 0 for figures in curve.values())
    assert all(0 < figures["network_share"] <= 1 for figures in curve.values())

    notes.clear()
    _, _, epochs = tried.train_on_all(lambda share: None)
    assert {figures["epoch"] for _, figures in notes if figures} == set(range(1, len(epochs) + 1))


def test_a_race_goes_on_in_an_empty_folder(tmp_path: Path, elsewhere: Elsewhere) -> None:
    killed, begun_again = candidate(tmp_path / "first", elsewhere), candidate(tmp_path / "second", elsewhere)
    killed.train(0)
    begun_again.train(0)
    # Each epoch knows how long it took: none of them was trained again.
    assert [tuned.epochs for tuned in begun_again._tuned] == [tuned.epochs for tuned in killed._tuned]
    assert begun_again.score() == killed.score()
    begun_again.train(1)
    _, head, epochs = begun_again.train_on_all(lambda share: None)
    last = candidate(tmp_path / "third", elsewhere)
    for rung in (0, 1):
        last.train(rung)
    _, last_head, last_epochs = last.train_on_all(lambda share: None)
    assert last_epochs == epochs
    np.testing.assert_array_equal(last_head.weights, head.weights)


def test_a_long_piece_is_saved_now_and_then(
    tmp_path: Path, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning_candidate, "_SECONDS_BETWEEN_SAVES", 0.0)
    tried = candidate(tmp_path / "first", elsewhere)
    tried.train(0)
    # After each epoch, and at the end; then what came of it.
    assert elsewhere.saved == ["small-0.01-split0.pt"] * 4 + ["small-0.01-split0-to3.pt"]
