"""A retraining: a training on what is labelled by now, whose model is proposed to a deployment."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from sightsmith.names import RetrainingName
from sightsmith_training.engine.specification import Effort
from sightsmith_training.jobs import JobError


class RetrainingState(StrEnum):
    """Where a retraining stands; the protos say what may follow."""

    PREPARING = "PREPARING"
    TRAINING = "TRAINING"
    PROPOSED = "PROPOSED"
    NOT_BETTER = "NOT_BETTER"
    FAILED = "FAILED"

    @property
    def is_final(self) -> bool:
        """Whether nothing can follow."""
        return self not in (RetrainingState.PREPARING, RetrainingState.TRAINING)


class ComparedFigure(BaseModel):
    """How the new model compares with the old one by the most telling figure.

    Attributes:
        figure: such as "macro-F1".
        baseline: the old model's, 0 to 1.
        candidate: the new model's, 0 to 1.
        p_value: how often chance alone would make such a difference, 0 to 1.
        significant: whether the difference can be more than chance.
        images: how many both were judged by.
        statement: in plain words.
    """

    model_config = ConfigDict(frozen=True)

    figure: str
    baseline: float
    candidate: float
    p_value: float
    significant: bool
    images: int
    statement: str

    @property
    def is_better(self) -> bool:
        """Whether the new model is better, by more than chance."""
        return self.significant and self.candidate > self.baseline


class RetrainingPolicy(BaseModel):
    """When a deployment's model is trained anew by itself.

    Attributes:
        min_corrections: after so many corrections; 0 for never.
        canary_share: of the traffic, 0 to 1, that a better model gets at once.
        effort: how much is tried.
    """

    model_config = ConfigDict(frozen=True, from_attributes=True)

    min_corrections: int = 0
    canary_share: float = 0.0
    effort: Effort = "balanced"


class Retraining(BaseModel):
    """A retraining.

    Attributes:
        sequence: its number, which is its id, too.
        deployment: resource name.
        baseline: the model that answered when it began.
        only_if_better: whether the new model is only proposed if it is better.
        canary_share: of the traffic that the new model gets at once.
        corrections: that led to it; 0 if somebody asked for it.
    """

    model_config = ConfigDict(frozen=True, from_attributes=True)

    sequence: int
    project: str
    deployment: str
    baseline: str
    effort: Effort
    only_if_better: bool
    canary_share: float
    corrections: int
    state: RetrainingState
    snapshot: str | None
    training_job: str | None
    model: str | None
    comparison: ComparedFigure | None
    error: JobError | None
    create_time: datetime
    end_time: datetime | None

    @property
    def name(self) -> str:
        """`projects/{project}/retrainings/{retraining}`."""
        return str(RetrainingName(self.project, str(self.sequence)))
