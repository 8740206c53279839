import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightsmith_training.engine.judging.classification_metrics import confusion_matrix
from sightsmith_training.engine.judging.confusions import confusion_counts, confusion_shares
from sightsmith_training.engine.judging.matches import Outcome
from sightsmith_training.engine.reports.image_outcomes import ImageOutcomes
from tests.unit.training_engine.reports.cases import classified, detected

SEEDS = st.integers(0, 10_000)


def all_matches(seed: int):
    return [classified(seed), classified(seed, single_label=False), detected(seed)]


@given(SEEDS)
def test_outcomes_of_images_are_the_counts_of_the_matches(seed: int) -> None:
    for matches in all_matches(seed):
        outcomes = ImageOutcomes(matches)
        for image in range(len(matches.images)):
            judged = outcomes.of(image)
            for outcome, counts in (
                (Outcome.TRUE_POSITIVE, matches.counts.true_positives),
                (Outcome.FALSE_POSITIVE, matches.counts.false_positives),
                (Outcome.FALSE_NEGATIVE, matches.counts.false_negatives),
            ):
                labels = [one.label for one in judged if one.outcome is outcome]
                np.testing.assert_array_equal(np.bincount(labels, minlength=3), counts[image])


@given(SEEDS)
def test_predictions_come_first_and_reach_their_thresholds(seed: int) -> None:
    matches = detected(seed)
    outcomes = ImageOutcomes(matches)
    for image in range(len(matches.images)):
        judged = outcomes.of(image)
        predicted = [one for one in judged if one.outcome is not Outcome.FALSE_NEGATIVE]
        assert judged[: len(predicted)] == predicted
        assert all(one.confidence >= 0.5 and one.predicted for one in predicted)
        assert [one.confidence for one in predicted] == sorted((one.confidence for one in predicted), reverse=True)
        assert all(one.confidence < 0.5 and one.labelled for one in judged[len(predicted) :])


@given(SEEDS)
def test_boxes_that_found_each_other_are_told_with_their_overlap(seed: int) -> None:
    matches = detected(seed)
    outcomes = ImageOutcomes(matches)
    for image in range(len(matches.images)):
        for one in outcomes.of(image):
            assert (one.iou >= matches.iou) == (one.labelled is not None and one.predicted is not None)


@given(SEEDS)
def test_confusions_agree_with_those_of_each_task(seed: int) -> None:
    single, _, boxes = all_matches(seed)
    np.testing.assert_array_equal(confusion_counts(single), confusion_matrix(single))
    np.testing.assert_array_equal(confusion_counts(boxes), boxes.confusion)


@given(SEEDS)
def test_right_predictions_stand_on_the_diagonal_and_every_mistake_beside_it(seed: int) -> None:
    several = classified(seed, single_label=False)
    counts, total = confusion_counts(several), several.counts.total(axis=0)
    np.testing.assert_array_equal(counts.diagonal()[:-1], total.true_positives)
    assert (counts.sum() > counts.trace()) == bool((total.false_positives + total.false_negatives).sum())


@given(SEEDS)
def test_rows_of_shares_add_up(seed: int) -> None:
    single = classified(seed)
    there = single.truth.any(axis=0)
    assert confusion_shares(single)[:-1].sum(axis=1) == pytest.approx(there.astype(float))
