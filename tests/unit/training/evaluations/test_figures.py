"""Figures and advice at other thresholds are those that a training with these thresholds would have told."""

from dataclasses import replace

import numpy as np
import pytest

from sightsmith_training.engine.classifier_evaluation import evaluate
from sightsmith_training.engine.detector_evaluation import evaluate_detector
from sightsmith_training.engine.evaluation_result import Evaluation, LearningPoint
from sightsmith_training.engine.judging.advice import TrainingFacts
from sightsmith_training.engine.judging.detection_matches import DetectionMatches
from sightsmith_training.engine.judging.learning_curve import fit_learning_curve
from sightsmith_training.evaluations.figures import evaluate_again
from sightsmith_training.evaluations.matching import Matches
from tests.unit.training_engine.reports.cases import classified, detected

LEARNING = [LearningPoint(images=images, score=score) for images, score in ((20, 0.5), (40, 0.65), (80, 0.75))]
ABOUT_TRAINING = {"TEST_IMAGES_DIFFER", "MORE_IMAGES", "SPLIT_LABEL"}
KINDS = {
    "one label": classified(1, 80),
    "several labels": classified(2, 80, single_label=False),
    "boxes": detected(3, 60),
}


def trained(matches: Matches) -> Evaluation:
    """As the training tells it, which has many images of the first label and few of the others."""
    curve = fit_learning_curve([point.images for point in LEARNING], [point.score for point in LEARNING])
    images = [90, *[12] * (len(matches.labels) - 1)]
    told = {"all_images": 100, "limits": ["Too few to hold any out."]}
    facts = TrainingFacts(images, cross_validated=0.99, learning_curve=curve, **told)
    if isinstance(matches, DetectionMatches):
        evaluation = evaluate_detector(matches, "test", facts)
    else:
        evaluation = evaluate(matches, "test", facts)
    return evaluation.model_copy(update={"learning_curve": LEARNING})


def stricter(matches: Matches) -> Matches:
    return replace(matches, thresholds=np.full(len(matches.labels), 0.8))


@pytest.mark.parametrize("matches", KINDS.values(), ids=KINDS)
def test_all_advice_follows_the_thresholds(matches: Matches) -> None:
    told = evaluate_again(trained(matches), stricter(matches))
    assert told == trained(stricter(matches))
    assert told.advice != trained(matches).advice
    assert ABOUT_TRAINING & {advice.code for advice in told.advice}


def test_what_evaluations_of_old_do_not_know_stays() -> None:
    now = trained(KINDS["one label"])
    old = now.model_copy(
        update={
            "per_label": [label.model_copy(update={"training_images": 0}) for label in now.per_label],
            "cross_validated": None,
        }
    )
    told = evaluate_again(old, stricter(KINDS["one label"]))
    about_training = [advice for advice in now.advice if advice.code in ABOUT_TRAINING]
    assert about_training
    assert [advice for advice in told.advice if advice.code in ABOUT_TRAINING] == about_training


def test_advice_names_no_more_images_than_anybody_looks_at() -> None:
    evaluation = evaluate(classified(1, 1500), "test", TrainingFacts([12] * 3, cross_validated=0.99))
    (differ,) = [advice for advice in evaluation.advice if advice.code == "TEST_IMAGES_DIFFER"]
    assert len(differ.images) == 100
    assert differ.image_count == round((1 - evaluation.accuracy) * 1500) > 100
