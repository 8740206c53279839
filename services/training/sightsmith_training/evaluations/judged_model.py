"""A model with what it said of the images that it was judged by."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sightsmith_training.engine.evaluation_result import ImagePrediction
from sightsmith_training.engine.judging.detection_matches import COUNTING_IOU
from sightsmith_training.evaluations.judged_images import JudgedImage, judge
from sightsmith_training.evaluations.matching import Matches, Rules, match


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
    answers: Sequence[ImagePrediction]

    def among(self, labels: Sequence[str]) -> "JudgedModel":
        """The same model, as if it could say all these labels and never said those that it does not know."""
        if self.rules.finds_boxes:
            return replace(self, rules=self.rules.among(labels))
        places = {label: place for place, label in enumerate(self.rules.labels)}
        spread = [
            answer.model_copy(
                update={"scores": [answer.scores[places[label]] if label in places else 0.0 for label in labels]}
            )
            for answer in self.answers
        ]
        return replace(self, rules=self.rules.among(labels), answers=spread)

    def matches(self, iou: float = COUNTING_IOU) -> Matches:
        """What it says beside what is there; `iou` is the overlap at which a detection is right."""
        return match(self.rules, self.answers, iou)

    @property
    def judged(self) -> list[JudgedImage]:
        """In the order of the answers."""
        return judge(self.rules, self.answers)
