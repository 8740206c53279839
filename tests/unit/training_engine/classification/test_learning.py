"""The score of a probe over the number of images."""

import numpy as np
import pytest

from sightsmith_training.engine.classification.folds import plan_folds
from sightsmith_training.engine.classification.learning import learning_points
from sightsmith_training.engine.classification.probes import try_probe


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_more_images_make_a_better_probe_of_noisy_features(activation: str) -> None:
    random = np.random.default_rng(0)
    truth = np.eye(4, dtype=bool)[np.arange(160) % 4]
    noisy = random.normal(size=(160, 64)) + 0.4 * truth @ random.normal(size=(4, 64))
    features = {"net": np.exp(noisy).astype(np.float32)}
    folds = plan_folds(truth, seed=0)
    probe = try_probe(("net",), features, truth, activation, folds, 0.01, threads=1)[2]

    points = learning_points(features, probe, truth, folds, seed=0)

    # Four of five folds are learned from: 128 images, of which each part is a quarter.
    assert [point.images for point in points] == [32, 64, 96, 128]
    assert points[-1].score == probe.scores[0]
    assert points[0].score < points[-1].score - 0.03
    assert learning_points(features, probe, truth, folds, seed=0) == points


def test_copies_do_not_make_the_curve_look_flat() -> None:
    """A quarter of the images would hold a copy of most of what there is."""
    random = np.random.default_rng(0)
    labels = np.arange(60) % 3
    centres = 0.35 * random.normal(size=(3, 64))
    originals = np.exp(random.normal(size=(60, 64)) + centres[labels]).astype(np.float32)
    groups = np.repeat(np.arange(60), 4)
    features, truth = {"net": originals[groups]}, np.eye(3, dtype=bool)[labels[groups]]
    folds = plan_folds(truth, 0, groups)
    probe = try_probe(("net",), features, truth, "softmax", folds, 0.01, threads=1)[2]
    together, apart = (learning_points(features, probe, truth, folds, 0, which) for which in (groups, None))
    assert together[-1] == apart[-1]
    assert together[0].score < apart[0].score - 0.05
