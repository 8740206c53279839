"""From stored answers to matches: the one set behind all figures, curves, findings and comparisons."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from sightsmith_training.engine.evaluation_result import ImagePrediction
from sightsmith_training.engine.judging.answers import LabelledImage
from sightsmith_training.engine.judging.arrays import Floats
from sightsmith_training.engine.judging.detection_matches import COUNTING_IOU, BoxTable, DetectionMatches, match_boxes
from sightsmith_training.engine.judging.matches import ClassificationMatches, match_labels
from sightsmith_training.engine.judging.thresholds import UNKNOWN_THRESHOLD
from sightsmith_training.engine.specification import Task
from sightsmith_training.evaluations.answer_table import AnswerTable

Matches = ClassificationMatches | DetectionMatches

_UNKNOWN = -1
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


def match(rules: Rules, answers: Iterable[ImagePrediction], iou: float = COUNTING_IOU) -> Matches:
    """Puts what is predicted beside what is there.

    Args:
        rules: of the model.
        answers: of the judged images, each of which is looked at once.
        iou: the overlap at which a detection is right.
    """
    return match_table(rules, AnswerTable.gathered(answers), iou)


def match_table(rules: Rules, answers: AnswerTable, iou: float = COUNTING_IOU) -> Matches:
    """Does the same with answers in columns."""
    places = {label: place for place, label in enumerate(rules.labels)}
    # What the model does not know is as if it were not labelled: it cannot be found, and to take it for something else
    # is wrong.
    known = np.array([places.get(label, _UNKNOWN) for label in answers.box_labels], dtype=np.intp)
    truths = replace(answers.truths, labels=known[answers.truths.labels])
    truths = truths.of(np.flatnonzero(truths.labels != _UNKNOWN))
    images = _labelled_images(answers, truths, {} if rules.finds_boxes else places)
    if rules.finds_boxes:
        found = replace(answers.detections, labels=known[answers.detections.labels])
        return match_boxes(images, rules.labels, truths, found, answers.confidences, rules.thresholds, iou)
    scores = answers.scores.reshape(len(images), len(places))
    return match_labels(images, rules.labels, scores, rules.thresholds, single_label=rules.task == "classification")


def _labelled_images(answers: AnswerTable, truths: BoxTable, places: Mapping[str, int]) -> list[LabelledImage]:
    ends = np.searchsorted(truths.images, np.arange(len(answers.images)), side="right").tolist()
    begins = [0, *ends][: len(ends)]
    nothing = np.empty(0, dtype=np.intp)
    true_labels = answers.true_labels if places else [[]] * len(answers.images)
    return [
        LabelledImage(
            image=image,
            source=source,
            width=width,
            height=height,
            labels=np.array([places[label] for label in labels if label in places], dtype=np.intp)
            if labels
            else nothing,
            boxes=truths.boxes[begin:end],
            box_labels=truths.labels[begin:end],
        )
        for image, source, (width, height), labels, begin, end in zip(
            answers.images, answers.sources, answers.sizes.tolist(), true_labels, begins, ends, strict=True
        )
    ]
