"""The figures of an evaluation in the form of Custom Labels' evaluation summary."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from sightsmith_training.engine.judging.classification_metrics import LabelFigures, classification_figures
from sightsmith_training.engine.judging.counts import mean_of_present, ratio
from sightsmith_training.engine.judging.detection_matches import DetectionMatches
from sightsmith_training.engine.judging.detection_metrics import DetectedLabelFigures, detection_figures
from sightsmith_training.engine.judging.figures import Averages
from sightsmith_training.engine.judging.headlines import MeanAveragePrecision
from sightsmith_training.engine.judging.matches import ClassificationMatches
from sightsmith_training.engine.judging.overlaps import NOBODY
from sightsmith_training.engine.reports.confusions import confusion_shares
from sightsmith_training.engine.reports.custom_labels import Json, TrainingData
from sightsmith_training.engine.reports.image_outcomes import Matches


def evaluation_summary(data: TrainingData, matches: Matches, model: str, evaluated_at: datetime) -> Json:
    """The summary in its flat form, the labels with the best F1 first.

    Figures of all labels together are means over those that are to be found in the test images. For boxes the average
    precision and the average recall are at the IoU of the matches, which is stated in `IntersectionOverUnion`, a key
    that Custom Labels does not have; the average recall is that of all detections, be they below their thresholds.

    Args:
        data: what the version was trained with.
        matches: of the test images.
        model: resource name of the version, which stands where Custom Labels has its ARN.
        evaluated_at: when the evaluation ended.
    """
    figures = detection_figures(matches) if isinstance(matches, DetectionMatches) else classification_figures(matches)
    of_task = _of_boxes(matches) if isinstance(matches, DetectionMatches) else _of_images(matches)
    labels: Sequence[LabelFigures | DetectedLabelFigures] = figures.labels
    return {
        "Version": 1,
        "EvaluationDetails": {
            "ProjectVersionArn": model,
            "EvaluationEndTimestamp": evaluated_at.astimezone(UTC).replace(tzinfo=None).isoformat("T", "microseconds"),
            "Labels": list(matches.labels),
            "NumberOfTrainingImages": sum(data.is_used(entry) for entry in data.of_split("train")),
            "NumberOfTestingImages": len(matches.images),
        },
        "AggregatedEvaluationResults": {**_averages(figures.macro), **of_task},
        "LabelEvaluationResults": [
            _label(label) for label in sorted(labels, key=lambda label: (-label.f1, label.label))
        ],
    }


def _averages(averages: Averages | LabelFigures | DetectedLabelFigures) -> Json:
    return {"Precision": averages.precision, "Recall": averages.recall, "F1Score": averages.f1}


def _label(label: LabelFigures | DetectedLabelFigures) -> Json:
    return {
        "Label": label.label,
        "NumberOfTestingImages": label.images,
        "Metrics": {"Threshold": label.threshold, **_averages(label)},
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


def _of_boxes(matches: DetectionMatches) -> Json:
    return {
        "AveragePrecision": float(MeanAveragePrecision.of(matches)(np.ones((1, len(matches.images))))[0]),
        "AverageRecall": _average_recall(matches),
        "IntersectionOverUnion": matches.iou,
    }


def _average_recall(matches: DetectionMatches) -> float:
    labels = matches.truths.labels
    there = np.bincount(labels, minlength=len(matches.labels)).astype(np.float64)
    found = np.bincount(labels[matches.finders != NOBODY], minlength=len(matches.labels)).astype(np.float64)
    return float(mean_of_present(ratio(found, there), there > 0))
