"""Everything that the page for people is made from."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sightsmith_training.engine.contract import EvaluatedOn, SpecEntry
from sightsmith_training.engine.judging.advice import Advice
from sightsmith_training.engine.judging.learning_curve import LearningCurve
from sightsmith_training.engine.reports.headline_figures import Intervals
from sightsmith_training.engine.reports.image_outcomes import Matches
from sightsmith_training.engine.reports.pictures import LearningPoint, TriedCandidate


@dataclass(frozen=True)
class Report:
    """A finished training and how good its model is.

    Attributes:
        title: the headline, such as the names of the project and the version.
        task_reason: what the model does and why that was chosen, in a sentence.
        evaluated_on: what the judged images are.
        evaluated_at: when the evaluation ended.
        entries: of the snapshot; there is one for every image of the matches.
        matches: of the judged images; all figures come from them.
        intervals: of the same matches.
        candidates: that were tried.
        candidate_score: by which candidates were compared, such as `cross-validated macro-F1`.
        learning_points: models of fewer training images, with the same score; may be empty.
        learning_curve: through those points, if there are enough.
        advice: what would help, the most helpful first.
        facts: what else is worth knowing, as names and values: the seed, the snapshot, the time it took.
    """

    title: str
    task_reason: str
    evaluated_on: EvaluatedOn
    evaluated_at: datetime
    entries: Sequence[SpecEntry]
    matches: Matches
    intervals: Intervals
    candidates: Sequence[TriedCandidate] = ()
    candidate_score: str = "cross-validated score"
    learning_points: Sequence[LearningPoint] = ()
    learning_curve: LearningCurve | None = None
    advice: Sequence[Advice] = ()
    facts: Sequence[tuple[str, str]] = ()
