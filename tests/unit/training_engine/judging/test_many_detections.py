"""What makes figures of very many detections affordable changes them by next to nothing."""

import numpy as np

from sightsmith_training.engine.judging.detection_matches import match_at
from sightsmith_training.engine.judging.headlines import MeanAveragePrecision
from tests.unit.training_engine.reports.cases import detected

_IMAGES, _DETECTIONS = 800, 6000


def headline(detections: int) -> MeanAveragePrecision:
    """Of one label, of which surer detections are right more often."""
    random = np.random.default_rng(1)
    confidences = random.random(detections)
    images = random.integers(0, _IMAGES, detections)
    right = random.random(detections) < confidences
    truths = np.bincount(images[right], minlength=_IMAGES)[:, None] + 1.0
    return MeanAveragePrecision("mAP50", images, np.zeros(detections, np.intp), confidences, right, truths)


def weights(draws: int) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 3, (draws, _IMAGES)).astype(np.float64)


def test_draws_of_many_detections_spread_as_exact_ones_do() -> None:
    every = headline(_DETECTIONS)
    exact, quick = every(weights(50)), every.for_draws(weights(50))
    assert np.abs((exact - exact.mean()) - (quick - quick.mean())).max() < 0.05 * exact.std()
    assert np.abs(exact - quick).max() < 0.003


def test_draws_of_few_detections_are_exact() -> None:
    every = headline(400)
    assert np.array_equal(every(weights(9)), every.for_draws(weights(9)))


def test_both_models_side_by_side_are_drawn_in_the_same_way() -> None:
    one = headline(_DETECTIONS)
    both = one.beside(one).for_draws
    assert both.steps == one.for_draws.steps > 0
    only_first = np.hstack((weights(5), np.zeros((5, _IMAGES))))
    assert np.abs(both(only_first) - one(weights(5))).max() < 0.003


def test_matching_at_another_iou_is_matching_anew() -> None:
    half, anew = detected(3, images=30), detected(3, images=30, iou=0.75)
    again = match_at(half, 0.75)
    assert again.iou == anew.iou
    assert np.array_equal(again.partners, anew.partners)
    assert np.array_equal(again.confusion, anew.confusion)
    assert (half.partners != anew.partners).any()
