"""The figures of an evaluation at other thresholds than it was made with."""

from collections.abc import Iterable, Sequence
from typing import get_args

from sightsmith_training.engine.classifier_evaluation import evaluate
from sightsmith_training.engine.detector_evaluation import evaluate_detector
from sightsmith_training.engine.evaluation_result import Advice, EvaluatedOn, Evaluation
from sightsmith_training.engine.judging.advice import AdviceCode, TrainingFacts
from sightsmith_training.engine.judging.detection_matches import DetectionMatches
from sightsmith_training.engine.judging.learning_curve import fit_learning_curve
from sightsmith_training.evaluations.matching import Matches

# For these more must be known of the training than evaluations of old tell. What was said at its end stays.
_ABOUT_TRAINING = {"TEST_IMAGES_DIFFER", "SCENES_COMPOSED", "MORE_IMAGES", "SPLIT_LABEL"}
# No evaluation tells what these follow from.
_ALWAYS_KEPT = {"TRAINING_LIMITED", "TINY_OBJECTS", "BUDGET_EXCEEDED"}
_CODES = get_args(AdviceCode)


def evaluate_anew(matches: Matches, evaluated_on: EvaluatedOn) -> Evaluation:
    """Computes every figure of images of which only the answers are known, and not the training.

    Args:
        matches: of at least one image, at the thresholds that are to hold.
        evaluated_on: which images these are.
    """
    return _evaluate(matches, evaluated_on, TrainingFacts(images=[0] * len(matches.labels)))


def evaluate_again(evaluation: Evaluation, matches: Matches) -> Evaluation:
    """Computes every figure anew, as the training did.

    Args:
        evaluation: as it was.
        matches: of the same images, at the thresholds that are to hold.
    """
    training = _training_facts(evaluation, matches.labels)
    fresh = _evaluate(matches, evaluation.evaluated_on, training)
    told = _ALWAYS_KEPT if all(training.images) else _ABOUT_TRAINING | _ALWAYS_KEPT
    kept = [advice for advice in evaluation.advice if advice.code in told]
    return fresh.model_copy(
        update={"advice": _in_order([*fresh.advice, *kept]), "learning_curve": evaluation.learning_curve}
    )


def _evaluate(matches: Matches, evaluated_on: EvaluatedOn, training: TrainingFacts) -> Evaluation:
    if isinstance(matches, DetectionMatches):
        return evaluate_detector(matches, evaluated_on, training)
    return evaluate(matches, evaluated_on, training)


def _training_facts(evaluation: Evaluation, labels: Sequence[str]) -> TrainingFacts:
    """What an evaluation tells of the training: of one of old, that no label had an image."""
    known = {label.label: label.training_images for label in evaluation.per_label}
    images = [known.get(label, 0) for label in labels]
    if not all(images):
        return TrainingFacts(images)
    points = evaluation.learning_curve
    curve = fit_learning_curve([point.images for point in points], [point.score for point in points])
    # A model of composed scenes that is not told so is too good for any advice that depends on it.
    composed = any(advice.code == "SCENES_COMPOSED" for advice in evaluation.advice)
    # One of old tells only how many the largest part of the curve had, which is most of them.
    largest_part = max((point.images for point in points), default=0)
    all_images = evaluation.training_images or largest_part
    return TrainingFacts(images, evaluation.cross_validated, curve, composed, all_images)


def _in_order(advice: Iterable[Advice]) -> list[Advice]:
    return sorted(advice, key=lambda piece: _CODES.index(piece.code) if piece.code in _CODES else len(_CODES))
