"""A model with what it said of the images that it was judged by."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sightsmith_training.engine.judging.detection_matches import COUNTING_IOU
from sightsmith_training.evaluations.answer_table import AnswerTable
from sightsmith_training.evaluations.matching import Matches, Rules, match_table


@dataclass(frozen=True)
class JudgedModel:
    """A model as its own images judge it.

    Attributes:
        name: for people.
        rules: what it predicts.
        answers: what it said of the images that it was judged by.
    """

    name: str
    rules: Rules
    answers: AnswerTable

    def among(self, labels: Sequence[str]) -> "JudgedModel":
        """The same model, as if it could say all these labels and never said those that it does not know."""
        if self.rules.finds_boxes:
            return replace(self, rules=self.rules.among(labels))
        scores = np.zeros((len(self.answers.images), len(labels)))
        scores[:, [labels.index(label) for label in self.rules.labels]] = self.answers.scores
        return replace(self, rules=self.rules.among(labels), answers=replace(self.answers, scores=scores))

    def matches(self, iou: float = COUNTING_IOU) -> Matches:
        """What it says beside what is there; `iou` is the overlap at which a detection is right."""
        return match_table(self.rules, self.answers, iou)
