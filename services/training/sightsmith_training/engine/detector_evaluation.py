"""What the detections on images say about a detector."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sightsmith_training.engine.evaluation import advice_on, bounds, label_evaluations, shares
from sightsmith_training.engine.evaluation_result import DetectionEvaluation, EvaluatedOn, Evaluation, ImagePrediction
from sightsmith_training.engine.judging.advice import TrainingFacts
from sightsmith_training.engine.judging.answers import Detections
from sightsmith_training.engine.judging.detection_matches import DetectionMatches, match_detections
from sightsmith_training.engine.judging.detection_metrics import detection_figures
from sightsmith_training.engine.judging.intervals import detection_intervals
from sightsmith_training.engine.judging.mistakes import find_mistakes
from sightsmith_training.engine.judging.reliability import detection_reliability
from sightsmith_training.engine.judging.thresholds import best_thresholds
from sightsmith_training.engine.specification import SpecBox
from sightsmith_training.engine.stored_detections import detected_boxes

if TYPE_CHECKING:  # It comes with torch, which the service, computing figures again, does without.
    from sightsmith_training.engine.detection_samples import DetectionSamples


def choose_detection_thresholds(matches: DetectionMatches) -> npt.NDArray[np.float64]:
    """The threshold of each label at which its F1 is best, from images that the model did not learn from."""
    return best_thresholds(matches.rankings)


def match_samples(
    samples: "DetectionSamples",
    rows: Sequence[int],
    detections: Sequence[Detections],
    thresholds: npt.NDArray[np.float64],
) -> DetectionMatches:
    """Puts detections beside what is labelled.

    Args:
        samples: all images.
        rows: positions of those that are judged.
        detections: on those.
        thresholds: shape [labels].
    """
    images = [samples.labelled_image(row) for row in rows]
    return match_detections(images, samples.labels, detections, thresholds)


def evaluate_detector(matches: DetectionMatches, evaluated_on: EvaluatedOn, training: TrainingFacts) -> Evaluation:
    """Computes every figure from one set of matches.

    Args:
        matches: of at least one image.
        evaluated_on: which images these are.
        training: what advice needs to know of the training.
    """
    figures, intervals = detection_figures(matches), detection_intervals(matches, seed=0)
    coco = figures.coco["all"]
    return Evaluation(
        evaluated_on=evaluated_on,
        cross_validated=training.cross_validated,
        training_images=training.all_images,
        accuracy=_images_without_mistake(matches),
        macro_precision=figures.macro.precision,
        macro_recall=figures.macro.recall,
        macro_f1=figures.macro.f1,
        micro=shares(figures.micro),
        per_label=label_evaluations(figures.labels, intervals.labels, training),
        confusion_matrix=matches.confusion.tolist(),
        images=len(matches.images),
        mean_average_precision=coco.ap50,
        macro_f1_interval=bounds(intervals.macro_f1),
        calibration_error=detection_reliability(matches).calibration_error,
        advice=advice_on(matches, intervals.mean_average_precision, training),
        detection=DetectionEvaluation(
            iou=matches.iou,
            map_50=coco.ap50,
            map_50_95=coco.ap50_95,
            average_recall=coco.ar100,
            map_interval=bounds(intervals.mean_average_precision),
            map_small=figures.coco["small"].ap50_95,
            map_medium=figures.coco["medium"].ap50_95,
            map_large=figures.coco["large"].ap50_95,
        ),
    )


def _images_without_mistake(matches: DetectionMatches) -> float:
    faulty = {mistake.image for mistake in find_mistakes(matches)}
    return 1 - len(faulty) / len(matches.images)


def describe_detections(
    matches: DetectionMatches, samples: "DetectionSamples", rows: Sequence[int], detections: Sequence[Detections]
) -> list[ImagePrediction]:
    """One prediction for each judged image.

    Args:
        matches: of the same images and detections, in the same order.
        samples: all images.
        rows: positions of those that are judged.
        detections: on those.
    """
    return [_describe(samples, row, answer, matches.thresholds) for row, answer in zip(rows, detections, strict=True)]


def _describe(
    samples: "DetectionSamples", row: int, answer: Detections, thresholds: npt.NDArray[np.float64]
) -> ImagePrediction:
    entry, found = samples.entries[row], detected_boxes(answer, samples.labels)
    told = answer.confidences >= thresholds[answer.labels]
    return ImagePrediction(
        image=entry.image,
        source=entry.source,
        true_labels=sorted({box.label for box in entry.boxes}),
        predicted_labels=list(dict.fromkeys(samples.labels[label] for label in answer.labels[told].tolist())),
        confidence=max((box.confidence for box in found), default=0.0),
        scores=[],
        width=entry.width,
        height=entry.height,
        true_boxes=[SpecBox.model_validate(box.model_dump()) for box in entry.boxes],
        detections=found,
    )
