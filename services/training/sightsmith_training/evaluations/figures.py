"""The figures of an evaluation at other thresholds than it was made with."""

from collections.abc import Iterable
from typing import get_args

from sightsmith_training.engine.classifier_evaluation import evaluate
from sightsmith_training.engine.contract import Advice, EvaluatedOn, Evaluation
from sightsmith_training.engine.detector_evaluation import evaluate_detector
from sightsmith_training.engine.judging.advice import AdviceCode, TrainingFacts
from sightsmith_training.engine.judging.detection_matches import DetectionMatches
from sightsmith_training.evaluations.matching import Matches

# For these more must be known of the training than is kept after it. What was said at its end stays.
_ABOUT_TRAINING = {"TEST_IMAGES_DIFFER", "SCENES_COMPOSED", "MORE_IMAGES", "SPLIT_LABEL"}
_CODES = get_args(AdviceCode)


def evaluate_anew(matches: Matches, evaluated_on: EvaluatedOn) -> Evaluation:
    """Computes every figure of images of which only the answers are known, and not the training.

    Args:
        matches: of at least one image, at the thresholds that are to hold.
        evaluated_on: which images these are.
    """
    unknown = TrainingFacts(images=[0] * len(matches.labels))
    if isinstance(matches, DetectionMatches):
        return evaluate_detector(matches, evaluated_on, unknown)
    return evaluate(matches, evaluated_on, unknown)


def evaluate_again(evaluation: Evaluation, matches: Matches) -> Evaluation:
    """Computes every figure anew, as the training did.

    Args:
        evaluation: as it was.
        matches: of the same images, at the thresholds that are to hold.
    """
    fresh = evaluate_anew(matches, evaluation.evaluated_on)
    kept = [advice for advice in evaluation.advice if advice.code in _ABOUT_TRAINING]
    return fresh.model_copy(
        update={"advice": _in_order([*fresh.advice, *kept]), "learning_curve": evaluation.learning_curve}
    )


def _in_order(advice: Iterable[Advice]) -> list[Advice]:
    return sorted(advice, key=lambda piece: _CODES.index(piece.code) if piece.code in _CODES else len(_CODES))
