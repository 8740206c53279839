"""Detections as predictions keep them."""

from collections.abc import Sequence

from sightsmith_training.engine.evaluation_result import DetectedBox
from sightsmith_training.engine.judging.answers import Detections


def as_stored(detections: Sequence[Detections]) -> list[Detections]:
    """Detections in the precision in which predictions keep them, so that all figures can be computed again.

    Boxes to a hundredth of a pixel, confidences to a hundred-thousandth.
    """
    return [Detections(each.boxes.round(2), each.labels, each.confidences.round(5)) for each in detections]


def detected_boxes(answer: Detections, labels: Sequence[str]) -> list[DetectedBox]:
    """What was found on an image, as predictions have it."""
    return [
        DetectedBox(
            label=labels[label],
            left=left,
            top=top,
            width=round(right - left, 2),
            height=round(bottom - top, 2),
            confidence=confidence,
        )
        for label, confidence, (left, top, right, bottom) in zip(
            answer.labels.tolist(), answer.confidences.tolist(), answer.boxes.tolist(), strict=True
        )
    ]
