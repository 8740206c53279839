"""Fine-tuning a small network on small pictures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from sightsmith_training.engine.classification.augmentation import Augmentation
from sightsmith_training.engine.classification.fine_tuning import Examples, FineTuning, Recipe
from sightsmith_training.engine.classification.heads import activate
from sightsmith_training.engine.classification.scores import macro_f1

from .shapes import blank_head, examples, small_backbone

_RECIPE = Recipe(body_rate=5e-3, frozen_share=0.0, epochs=6, batch=12, averaging=0.5)


def _tuning(recipe: Recipe = _RECIPE, seed: int = 1, threads: int = 2, activation: str = "softmax") -> FineTuning:
    return FineTuning(small_backbone(), blank_head(activation=activation), recipe, seed, threads)


def _macro_f1(tuning: FineTuning, given: Examples, activation: str = "softmax") -> float:
    scores = activate(tuning.logits(given.pixels[given.held_out]), activation)
    return macro_f1(scores, given.truth[given.held_out], activation)


def test_it_learns_what_the_images_show_under_either_activation() -> None:
    for activation in ("softmax", "sigmoid"):
        given = examples(60)
        tuning = _tuning(replace(_RECIPE, epochs=25, body_rate=2e-2, patience=25), activation=activation)
        tuning.run(given, 25)
        assert _macro_f1(tuning, given, activation) > 0.9
        assert all(0 < epoch.network_share <= 1 for epoch in tuning.epochs)


def test_a_resumed_fine_tuning_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    given, checkpoint = examples(), tmp_path / "tuning.pt"
    whole = _tuning()
    whole.run(given, 5)
    _tuning().run(given, 2, checkpoint)
    resumed = _tuning()
    resumed.run(given, 5, checkpoint)
    np.testing.assert_array_equal(resumed.logits(given.pixels), whole.logits(given.pixels))
    assert [epoch.loss for epoch in resumed.epochs] == [epoch.loss for epoch in whole.epochs]
    assert [file.name for file in tmp_path.iterdir()] == ["tuning.pt"]


def test_a_damaged_checkpoint_is_as_good_as_none(tmp_path: Path) -> None:
    given, checkpoint = examples(), tmp_path / "tuning.pt"
    whole = _tuning()
    whole.run(given, 2)
    for damage in (b"", b"not a checkpoint"):
        checkpoint.write_bytes(damage)
        tuning = _tuning()
        tuning.run(given, 2, checkpoint)
        np.testing.assert_array_equal(tuning.logits(given.pixels), whole.logits(given.pixels))


def test_the_seed_decides_and_the_number_of_threads_does_not() -> None:
    given = examples()
    logits = []
    for seed, threads in ((1, 1), (1, 3), (2, 1)):
        tuning = _tuning(seed=seed, threads=threads)
        tuning.run(given, 2)
        logits.append(tuning.logits(given.pixels))
    np.testing.assert_array_equal(logits[0], logits[1])
    assert not np.array_equal(logits[0], logits[2])


def test_frozen_parameters_and_statistics_stay_and_the_given_backbone_is_left_alone() -> None:
    backbone = small_backbone()
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    tuning = FineTuning(backbone, blank_head(), replace(_RECIPE, frozen_share=0.5), 1, 2)
    tuning.run(examples(), 2)
    tuned, _ = tuning.result()
    after = tuned.state_dict()
    same = {name for name in before if torch.equal(before[name], after[name])}
    statistics = {name for name in before if "running" in name or "num_batches" in name}
    assert same == {"0.weight", "0.bias", "1.weight", "1.bias"} | statistics
    assert all(torch.equal(before[name], tensor) for name, tensor in backbone.state_dict().items())


def test_it_stops_when_nothing_gets_better() -> None:
    tuning = _tuning(replace(_RECIPE, body_rate=0.0, epochs=50, patience=2))
    tuning.run(examples(), 50)
    assert tuning.best_epoch == 1
    assert len(tuning.epochs) == 3


def test_the_result_is_the_network_that_was_judged() -> None:
    given = examples()
    tuning = _tuning()
    tuning.run(given, 3)
    backbone, head = tuning.result()
    planes = torch.from_numpy(given.pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        features = np.sqrt(backbone(planes).numpy() + np.float32(0.001))
    np.testing.assert_allclose(head.logits(features), tuning.logits(given.pixels), atol=1e-4)


def test_altered_images_stay_in_range_and_depend_on_the_random_state_alone() -> None:
    planes = torch.rand(6, 3, 20, 20) * 2 - 1
    one, same, other = (Augmentation().apply(planes, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.shape == planes.shape
    assert one.abs().max() <= 1


def test_without_mirror_images_left_stays_left() -> None:
    planes = torch.full((40, 3, 24, 24), -1.0)
    planes[..., :12] = 1.0

    def left_is_brighter(mirror: bool) -> torch.Tensor:
        views = Augmentation(mirror).apply(planes, np.random.default_rng(0)).mean(dim=(1, 2))
        return views[:, 0] >= views[:, -1]

    assert left_is_brighter(mirror=False).all()
    assert not left_is_brighter(mirror=True).all()
