"""Whether pictures may be mirrored is asked of the data."""

import numpy as np
import pytest

from sightsmith_training.engine.classification.mirroring import survives_mirroring


def _pictures(images: int, *, one_sided: bool) -> tuple[np.ndarray, np.ndarray]:
    """Rows of light; the labels are sides, or how bright it is."""
    random = np.random.default_rng(0)
    labels = np.arange(images) % 2
    features = random.random((images, 12), dtype=np.float32)
    if one_sided:
        features[labels == 0, :4] += 1
        features[labels == 1, -4:] += 1
    else:
        features[labels == 0] += 0.5
    return features, np.eye(2, dtype=bool)[labels]


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("one_sided", [True, False])
def test_labels_that_are_each_others_mirror_images_do_not_survive(activation: str, one_sided: bool) -> None:
    features, truth = _pictures(80, one_sided=one_sided)
    asked: list[int] = []

    def mirror(rows: np.ndarray) -> np.ndarray:
        asked.extend(rows.tolist())
        return features[rows, ::-1]

    assert survives_mirroring(features, truth, activation, 0, mirror) is not one_sided
    assert asked == list(range(80))


def test_of_many_images_some_are_asked_for() -> None:
    features, truth = _pictures(2000, one_sided=False)
    assert survives_mirroring(features, truth, "softmax", 0, lambda rows: features[rows[:600], ::-1])


def test_copies_do_not_make_mirror_images_look_worse() -> None:
    """A probe that has seen a copy knows it again as it is, and not its mirror image."""
    random = np.random.default_rng(0)
    labels = np.arange(60) % 2
    features = random.random((60, 128), dtype=np.float32)
    features[labels == 0] += 0.1
    copies = np.repeat(np.arange(60), 4)
    features, truth = features[copies], np.eye(2, dtype=bool)[labels[copies]]

    def mirror(rows: np.ndarray) -> np.ndarray:
        return features[rows, ::-1]

    assert not survives_mirroring(features, truth, "softmax", 0, mirror)
    assert survives_mirroring(features, truth, "softmax", 0, mirror, copies)
