"""A deployment: a name under which models answer."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sightsmith.errors import FailedPreconditionError
from sightsmith.names import DeploymentName
from sightsmith_inference.releases import Release
from sightsmith_inference.replicas import ReplicaRange, Scale
from sightsmith_inference.sampling_policy import SamplingPolicy


class DeploymentState(StrEnum):
    """Where a deployment stands; the protos say what may follow."""

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    UPDATING = "UPDATING"
    FAILED = "FAILED"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    IDLE = "IDLE"


ANSWERING = frozenset({DeploymentState.RUNNING, DeploymentState.UPDATING})
HALTED = frozenset({DeploymentState.STOPPING, DeploymentState.STOPPED})
_UNLOADED = HALTED | {DeploymentState.IDLE}


@dataclass(frozen=True)
class DeploymentError:
    """Why the last start or update failed.

    Attributes:
        code: a `google.rpc.Code`.
        reason: one of the reasons in the protos.
        message: for people.
    """

    code: int
    reason: str
    message: str


@dataclass(frozen=True)
class Proposal:
    """A model version that is proposed in place of a deployment's own.

    Attributes:
        model: `projects/{project}/models/{model}`.
        statement: why, in plain words.
        create_time: when it was proposed.
    """

    model: str
    statement: str
    create_time: datetime


@dataclass(frozen=True)
class Deployment:
    """A deployment.

    Attributes:
        id: key of the row; another one when a deployment of the same name is made anew.
        generation: counts the wishes of users.
        revision: counts all changes.
        state: where it stands.
        wanted: the release that is to answer.
        served: the release that answers. While STARTING, STOPPED or IDLE: the one that answered before, and is to come
            back.
        history: the releases that answered before, the last one first, as far as they were asked for.
        sampling: which predictions are kept for review.
        replicas: how many replicas are wanted.
        scale: how many there are.
        is_tuned: whether its models are set up as was measured to be fastest.
        error: why the last start or update failed.
        create_time: when it was created.
        update_time: when its state last changed.
        proposal: what is proposed in place of its own model.
    """

    id: uuid.UUID
    generation: int
    revision: int
    name: DeploymentName
    state: DeploymentState
    wanted: Release
    served: Release | None
    history: Sequence[Release]
    sampling: SamplingPolicy
    replicas: ReplicaRange
    scale: Scale
    is_tuned: bool
    error: DeploymentError | None
    create_time: datetime
    update_time: datetime
    proposal: Proposal | None = None

    @property
    def serving(self) -> Release | None:
        """What answers now."""
        return self.served if self.state in ANSWERING else None

    def require_hope(self) -> None:
        """Refuses work for one that answers nobody before somebody does something about it.

        Raises:
            FailedPreconditionError: if it has failed, or was stopped.
        """
        if self.state in HALTED | {DeploymentState.FAILED}:
            why = f": {self.error.message}" if self.error else ""
            raise FailedPreconditionError(
                f"{self.name} does not answer, it is {self.state}{why}",
                metadata={"state": self.state, "deployment": str(self.name)},
            )

    @property
    def is_coming_back(self) -> bool:
        """Whether it answered before, and is being started again without another wish."""
        return self.state is DeploymentState.STARTING and self.served is not None

    @property
    def is_waking(self) -> bool:
        """Whether it is idle, or on its way back from there as far as one can tell."""
        return self.state is DeploymentState.IDLE or (self.is_coming_back and self.replicas.idle_seconds > 0)

    @property
    def goal(self) -> Release:
        """What is to be made ready: what answered before, or else what is wanted."""
        return self.served if self.is_coming_back and self.served is not None else self.wanted

    @property
    def models(self) -> frozenset[str]:
        """The model versions that are wanted or answer, or are to come back, under whatever alias."""
        releases = [self.wanted] if self.served is None else [self.wanted, self.served]
        return frozenset(target.model for release in releases for target in release.targets)

    @property
    def triton_models(self) -> frozenset[str]:
        """What the inference server is to hold for it."""
        if self.served is None or self.state in _UNLOADED:
            return frozenset()
        return frozenset(servable.triton_model for servable in self.served.servables)
