"""From stored answers to matches: the one set behind all figures, curves, findings and comparisons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from sightsmith_training.engine.evaluation_result import ImagePrediction
from sightsmith_training.engine.judging.answers import Boxes, Detections, LabelledImage, Positions
from sightsmith_training.engine.judging.arrays import Floats
from sightsmith_training.engine.judging.detection_matches import COUNTING_IOU, DetectionMatches, match_detections
from sightsmith_training.engine.judging.matches import ClassificationMatches, match_labels
from sightsmith_training.engine.judging.thresholds import UNKNOWN_THRESHOLD
from sightsmith_training.engine.specification import SpecBox, Task

Matches = ClassificationMatches | DetectionMatches

NEVER = 2.0
"""As a threshold: no score reaches it."""


@dataclass(frozen=True)
class Rules:
    """What a model predicts, given its scores.

    Attributes:
        task: what it does.
        labels: in the order of its scores.
        thresholds: shape [labels]; the least score at which each label holds.
    """

    task: Task
    labels: tuple[str, ...]
    thresholds: Floats

    @classmethod
    def of(cls, task: Task, labels: Sequence[str], thresholds: Sequence[float]) -> Self:
        """Reads them as a model has them.

        Args:
            task: what it does.
            labels: in the order of its scores.
            thresholds: one for each label, or none.
        """
        unset = 0.0 if task == "classification" else UNKNOWN_THRESHOLD
        return cls(task, tuple(labels), np.array(thresholds or [unset] * len(labels), dtype=np.float64))

    @property
    def finds_boxes(self) -> bool:
        """Whether the model is a detector."""
        return self.task == "detection"

    def among(self, labels: Sequence[str]) -> "Rules":
        """The same rules of a model that never predicts the labels that it does not know."""
        known = dict(zip(self.labels, self.thresholds.tolist(), strict=True))
        return replace(self, labels=tuple(labels), thresholds=np.array([known.get(label, NEVER) for label in labels]))


def match(rules: Rules, answers: Sequence[ImagePrediction], iou: float = COUNTING_IOU) -> Matches:
    """Puts what is predicted beside what is there.

    Args:
        rules: of the model.
        answers: of the judged images.
        iou: the overlap at which a detection is right.
    """
    places = {label: place for place, label in enumerate(rules.labels)}
    images = [_labelled_image(answer, places) for answer in answers]
    if rules.finds_boxes:
        detections = [_detections(answer, places) for answer in answers]
        return match_detections(images, rules.labels, detections, rules.thresholds, iou)
    scores = np.array([answer.scores for answer in answers], dtype=np.float64).reshape(len(answers), len(places))
    return match_labels(images, rules.labels, scores, rules.thresholds, single_label=rules.task == "classification")


def _labelled_image(answer: ImagePrediction, places: Mapping[str, int]) -> LabelledImage:
    # What the model does not know is as if it were not labelled: it cannot be found, and to take it for something else
    # is wrong.
    known = [box for box in answer.true_boxes if box.label in places]
    return LabelledImage(
        image=answer.image,
        source=answer.source,
        width=answer.width,
        height=answer.height,
        labels=np.array([places[label] for label in answer.true_labels if label in places], dtype=np.intp),
        boxes=_corners(known),
        box_labels=_positions(known, places),
    )


def _detections(answer: ImagePrediction, places: Mapping[str, int]) -> Detections:
    found = answer.detections
    return Detections(
        boxes=_corners(found),
        labels=_positions(found, places),
        confidences=np.array([box.confidence for box in found], dtype=np.float64),
    )


def _corners(boxes: Sequence[SpecBox]) -> Boxes:
    sides = [(box.left, box.top, box.left + box.width, box.top + box.height) for box in boxes]
    return np.array(sides, dtype=np.float64).reshape(-1, 4)


def _positions(boxes: Sequence[SpecBox], places: Mapping[str, int]) -> Positions:
    return np.array([places[box.label] for box in boxes], dtype=np.intp)
