"""The figures of an evaluation in the form of Custom Labels' evaluation summary."""

from datetime import UTC, datetime

import numpy as np

from sightsmith_training.engine.evaluation_result import Evaluation, LabelEvaluation
from sightsmith_training.engine.judging.confusions import confusion_shares
from sightsmith_training.engine.judging.counts import mean_of_present, ratio
from sightsmith_training.engine.judging.detection_matches import DetectionMatches
from sightsmith_training.engine.judging.matches import ClassificationMatches
from sightsmith_training.engine.judging.overlaps import NOBODY
from sightsmith_training.engine.reports.custom_labels import Json, TrainingData
from sightsmith_training.engine.reports.image_outcomes import Matches


def evaluation_summary(
    data: TrainingData, matches: Matches, evaluation: Evaluation, model: str, evaluated_at: datetime
) -> Json:
    """The summary in its flat form, the labels with the best F1 first.

    Figures of all labels together are means over those that are to be found in the test images. For boxes the average
    recall is that of all detections, be they below their thresholds, at the IoU of the matches; that is stated in
    `IntersectionOverUnion`, a key that Custom Labels does not have. The average precision is at an IoU of 0.5.

    Args:
        data: what the version was trained with.
        matches: of the test images.
        evaluation: the figures of the same matches.
        model: resource name of the version, which stands where Custom Labels has its ARN.
        evaluated_at: when the evaluation ended.
    """
    of_task = _of_boxes(matches, evaluation) if isinstance(matches, DetectionMatches) else _of_images(matches)
    return {
        "Version": 1,
        "EvaluationDetails": {
            "ProjectVersionArn": model,
            "EvaluationEndTimestamp": evaluated_at.astimezone(UTC).replace(tzinfo=None).isoformat("T", "microseconds"),
            "Labels": list(matches.labels),
            "NumberOfTrainingImages": sum(data.is_used(entry) for entry in data.of_split("train")),
            "NumberOfTestingImages": len(matches.images),
        },
        "AggregatedEvaluationResults": {
            "Precision": evaluation.macro_precision,
            "Recall": evaluation.macro_recall,
            "F1Score": evaluation.macro_f1,
            **of_task,
        },
        "LabelEvaluationResults": [
            _label(label) for label in sorted(evaluation.per_label, key=lambda label: (-label.f1, label.label))
        ],
    }


def _label(label: LabelEvaluation) -> Json:
    return {
        "Label": label.label,
        "NumberOfTestingImages": label.images,
        "Metrics": {
            "Threshold": label.threshold,
            "Precision": label.precision,
            "Recall": label.recall,
            "F1Score": label.f1,
        },
    }


def _of_images(matches: ClassificationMatches) -> Json:
    shares = confusion_shares(matches)
    return {
        "ConfusionMatrix": [
            {"GroundTruthLabel": truth, "PredictedLabel": predicted, "Value": float(shares[row, column])}
            for row, truth in enumerate(matches.labels)
            for column, predicted in enumerate(matches.labels)
        ]
    }


def _of_boxes(matches: DetectionMatches, evaluation: Evaluation) -> Json:
    return {
        "AveragePrecision": evaluation.detection.map_50 if evaluation.detection else None,
        "AverageRecall": _average_recall(matches),
        "IntersectionOverUnion": matches.iou,
    }


def _average_recall(matches: DetectionMatches) -> float:
    labels = matches.truths.labels
    there = np.bincount(labels, minlength=len(matches.labels)).astype(np.float64)
    found = np.bincount(labels[matches.finders != NOBODY], minlength=len(matches.labels)).astype(np.float64)
    return float(mean_of_present(ratio(found, there), there > 0))
