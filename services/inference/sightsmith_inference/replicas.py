"""How many replicas of a deployment there may be, and how many there are."""

from dataclasses import dataclass
from datetime import datetime

from sightsmith.errors import FieldViolation


@dataclass(frozen=True)
class ReplicaRange:
    """How many replicas a user wants.

    Attributes:
        min: while any are loaded, at least 1.
        max: where requests have to queue, at least `min`.
        idle_seconds: without a request after which all are unloaded; 0 for never.
    """

    min: int = 1
    max: int = 1
    idle_seconds: int = 0

    def violations(self, largest: int) -> list[FieldViolation]:
        """What is wrong with it, where at most `largest` replicas are allowed."""
        field, found = "deployment.replicas", []
        if not 1 <= self.min <= largest:
            found.append(FieldViolation(f"{field}.min", f"must be from 1 to {largest}, not {self.min}"))
        if not self.min <= self.max <= largest:
            rule = f"must be at least `min`, which is {self.min}, and at most {largest}, not {self.max}"
            found.append(FieldViolation(f"{field}.max", rule))
        if self.idle_seconds < 0:
            found.append(FieldViolation(f"{field}.idle_seconds", f"must not be negative, not {self.idle_seconds}"))
        return found

    def nearest(self, replicas: int) -> int:
        """The number of replicas that is allowed and nearest to another."""
        return min(max(replicas, self.min), self.max)


ONE_REPLICA = ReplicaRange()


@dataclass(frozen=True)
class Scale:
    """How many replicas there are.

    Attributes:
        desired: how many there are to be.
        ready: how many answer.
        reason: why as many are desired; empty as long as that never changed.
        change_time: when `desired` last changed; None if it never did.
        last_use_time: when a model of the deployment was last asked, to within some seconds; None if it never was.
    """

    desired: int = 1
    ready: int = 0
    reason: str = ""
    change_time: datetime | None = None
    last_use_time: datetime | None = None
