import numpy as np
import pytest

from sightsmith_labeling.validation.wrong_labels import suspects, suspects_of


def test_the_method_on_an_example_done_by_hand() -> None:
    probabilities = np.array(
        [
            [0.9, 0.1],  # The thresholds are 0.6 for class 0 (the mean of 0.9, 0.8 and 0.1) and 0.7 for class 1.
            [0.8, 0.2],
            [0.1, 0.9],  # Given 0, passes the threshold of 1 only: suspect.
            [0.2, 0.8],
            [0.4, 0.6],  # Passes neither: not suspect.
        ]
    )
    (found,) = suspects_of(probabilities, np.array([0, 0, 0, 1, 1]))
    assert (found.place, found.suggested, found.confidence, found.suggested_confidence) == (2, 1, 0.1, 0.9)
    assert found.margin == pytest.approx(0.8)


@pytest.mark.parametrize("seed", range(2))
def test_finds_most_of_the_labels_that_were_flipped(seed: int) -> None:
    chance = np.random.default_rng(seed)
    centres = chance.normal(size=(6, 64)).astype(np.float32)
    true = chance.integers(0, 6, 600)
    features = centres[true] + chance.normal(scale=0.7, size=(600, 64)).astype(np.float32)
    flipped = set(chance.choice(600, 30, replace=False).tolist())
    given = true.copy()
    for place in flipped:
        given[place] = (true[place] + chance.integers(1, 6)) % 6
    found = suspects(features, given)
    right = [one for one in found if one.place in flipped]
    assert len(right) >= 0.8 * len(flipped)
    assert len(right) >= 0.8 * len(found)
    assert np.mean([one.suggested == true[one.place] for one in right]) >= 0.95
    assert [one.margin for one in found] == sorted((one.margin for one in found), reverse=True)


def test_keeps_quiet_where_every_label_is_right() -> None:
    chance = np.random.default_rng(0)
    centres = chance.normal(size=(4, 32)).astype(np.float32)
    given = np.arange(200) % 4
    features = centres[given] + chance.normal(scale=0.3, size=(200, 32)).astype(np.float32)
    assert len(suspects(features, given)) <= 4
