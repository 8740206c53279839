"""Everything that the page for people is made from."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sightsmith_training.engine.evaluation_result import Evaluation
from sightsmith_training.engine.reports.image_outcomes import Matches
from sightsmith_training.engine.reports.pictures import TriedCandidate
from sightsmith_training.engine.specification import SpecEntry


@dataclass(frozen=True)
class Report:
    """A finished training and how good its model is.

    Attributes:
        title: the headline, such as the names of the project and the version.
        task_reason: what the model does and why that was chosen, in a sentence.
        evaluated_at: when the evaluation ended.
        entries: of the snapshot; there is one for every image of the matches.
        matches: of the judged images.
        evaluation: every figure, from the same matches.
        candidates: that were tried.
        candidate_score: by which candidates were compared, such as `cross-validated macro-F1`.
        learning_score: of models of fewer images, likewise.
        facts: what else is worth knowing, as names and values: the seed, the snapshot, the time it took.
    """

    title: str
    task_reason: str
    evaluated_at: datetime
    entries: Sequence[SpecEntry]
    matches: Matches
    evaluation: Evaluation
    candidates: Sequence[TriedCandidate] = ()
    candidate_score: str = "cross-validated score"
    learning_score: str = "cross-validated score"
    facts: Sequence[tuple[str, str]] = ()
