"""What became of every label and box of an image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from sightsmith_training.engine.evaluation_result import ImagePrediction
from sightsmith_training.engine.judging.arrays import Flags, Floats
from sightsmith_training.engine.judging.detection_matches import DetectionMatches
from sightsmith_training.engine.judging.matches import Outcome
from sightsmith_training.engine.reports.image_outcomes import ImageOutcomes, Judged
from sightsmith_training.evaluations.matching import Matches, Rules, match


@dataclass(frozen=True)
class Finding:
    """What became of one label of the image, or of one box; `about` has the boxes, with the label as a position."""

    label: str
    about: Judged

    @property
    def outcome(self) -> Outcome:
        """Never a true negative."""
        return self.about.outcome

    @property
    def is_predicted(self) -> bool:
        """Whether the model said it."""
        return self.outcome is not Outcome.FALSE_NEGATIVE


@dataclass(frozen=True)
class Ranks:
    """Of all images at once, what `JudgedImage` tells of one; each of shape [images]."""

    is_right: Flags
    rank: Floats
    confidence: Floats

    @classmethod
    def of(cls, matches: Matches) -> Self:
        """Takes them from the matches."""
        counts = matches.counts
        is_right = np.asarray((counts.false_positives + counts.false_negatives).sum(axis=1) == 0)
        if isinstance(matches, DetectionMatches):
            surest = _surest_of(matches, matches.predicted)
            surest_wrong = _surest_of(matches, matches.false_positives)
        else:
            surest = matches.scores.max(axis=1, initial=0.0)
            surest_wrong = (matches.scores * (matches.predicted & ~matches.truth)).max(axis=1, initial=0.0)
        return cls(is_right, np.where(is_right, 2 - surest, -surest_wrong), surest)


def _surest_of(matches: DetectionMatches, wanted: Flags) -> Floats:
    """The highest confidence on each image; 0 where there is none."""
    surest = np.zeros(len(matches.images))
    np.maximum.at(surest, matches.detections.images[wanted], matches.confidences[wanted])
    return surest


@dataclass(frozen=True)
class JudgedImage:
    """An image that a model was judged by.

    Attributes:
        answer: what is there, and what the model says of it whatever the thresholds.
        findings: what was predicted, the surest first, then what was missed.
    """

    answer: ImagePrediction
    findings: Sequence[Finding]

    @property
    def is_right(self) -> bool:
        """Whether nothing is missing and nothing too much."""
        return not any(finding.about.is_mistake for finding in self.findings)

    @property
    def rank(self) -> float:
        """The lowest for the most confident mistakes: -1 to 0 where something is wrong, 1 to 2 where nothing is."""
        if self.is_right:
            return 2 - self.confidence
        wrong = [finding.about.confidence for finding in self.findings if finding.outcome is Outcome.FALSE_POSITIVE]
        return -max(wrong, default=0.0)

    @property
    def confidence(self) -> float:
        """Of the surest label; 0 where a detector finds nothing."""
        if self.answer.scores:
            return max(self.answer.scores)
        return max((finding.about.confidence for finding in self.findings if finding.is_predicted), default=0.0)

    @property
    def predicted_labels(self) -> list[str]:
        """Each once, the surest first."""
        return list(dict.fromkeys(finding.label for finding in self.findings if finding.is_predicted))

    def labels_of(self, outcome: Outcome) -> list[str]:
        """Labels that came out like this, each once."""
        return list(dict.fromkeys(finding.label for finding in self.findings if finding.outcome is outcome))


def judge(rules: Rules, answers: Sequence[ImagePrediction]) -> list[JudgedImage]:
    """Judges images, in their order."""
    if not answers:
        return []
    matches = match(rules, answers)
    outcomes = ImageOutcomes(matches)
    return [
        JudgedImage(answer, [Finding(matches.labels[judged.label], judged) for judged in outcomes.of(place)])
        for place, answer in enumerate(answers)
    ]
