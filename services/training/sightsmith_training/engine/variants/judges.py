"""How variants of classifiers and of detectors are judged: by the figures that trainings are judged by."""

from collections.abc import Sequence

import numpy as np

from sightsmith_training.engine.classifier_evaluation import Judged, Scores
from sightsmith_training.engine.detection.detecting import in_pixels
from sightsmith_training.engine.detection_samples import DetectionSamples
from sightsmith_training.engine.detector_evaluation import match_samples
from sightsmith_training.engine.judging.classification_metrics import classification_figures
from sightsmith_training.engine.judging.detection_metrics import detection_figures
from sightsmith_training.engine.judging.matches import ClassificationMatches
from sightsmith_training.engine.samples import Samples
from sightsmith_training.engine.variants.running import Answers
from sightsmith_training.engine.variants.variant import Judge


def classifier_judge(samples: Samples, rows: Sequence[int], thresholds: Scores) -> Judge:
    """Judges a classifier by its macro-F1, and by which labels it gives each image.

    Args:
        samples: all images.
        rows: positions of those that are judged.
        thresholds: the model's, shape [labels].
    """

    def matches(answers: Answers) -> ClassificationMatches:
        return Judged(samples, rows, answers[0]).matches(thresholds)

    return Judge(
        figure=lambda answers: classification_figures(matches(answers)).macro.f1,
        decisions=lambda answers: matches(answers).predicted,
    )


def detector_judge(samples: DetectionSamples, rows: Sequence[int]) -> Judge:
    """Judges a detector by its mean average precision, IoU 0.50 … 0.95.

    Args:
        samples: all images.
        rows: positions of those that are judged.
    """
    sizes = [(samples.entries[row].width, samples.entries[row].height) for row in rows]
    no_thresholds = np.zeros(len(samples.labels))

    def figure(answers: Answers) -> float:
        boxes, scores, labels = answers
        matches = match_samples(samples, rows, in_pixels((boxes, scores, labels), sizes), no_thresholds)
        return detection_figures(matches).coco["all"].ap50_95 or 0.0

    return Judge(figure)
