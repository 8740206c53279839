"""How many replicas a deployment should have, by how long its requests have to queue."""

from dataclasses import dataclass

from sightsmith_inference.replicas import ReplicaRange

BUSY_SHARE = 0.7
"""How busy the replicas that remain may be, 0 to 1, for one to go."""


@dataclass(frozen=True)
class Work:
    """What a model had to do during the last seconds.

    Attributes:
        requests: that were answered.
        queue_seconds: that one of them waited for an instance, on average.
        busy_instances: how many instances would have been at work all the time to do the same.
    """

    requests: int = 0
    queue_seconds: float = 0.0
    busy_instances: float = 0.0


@dataclass(frozen=True)
class ScalingRule:
    """When there are to be more or fewer.

    Attributes:
        up_queue_seconds: from this mean time in the queue on, there is one more.
        down_queue_seconds: up to this one there may be one less; below `up_queue_seconds`.
        up_seconds: how long a change is left alone before there is one more.
        down_seconds: how long it is before there is one less.
    """

    up_queue_seconds: float
    down_queue_seconds: float
    up_seconds: float
    down_seconds: float


@dataclass(frozen=True)
class Decision:
    """How many replicas there are to be, and why."""

    replicas: int
    reason: str


def decide(
    rule: ScalingRule, wanted: ReplicaRange, now: int, instances: int, work: Work, unchanged_seconds: float
) -> Decision | None:
    """Decides about one replica more or less; None for as many as there are.

    The two queue times lie apart, and one goes only if the rest would not be too busy, so that the same work does not
    lead to one more and one less in turn.

    Args:
        rule: when to change.
        wanted: how many there may be.
        now: how many there are.
        instances: of the model, in a replica.
        work: what the busiest model had to do.
        unchanged_seconds: since the last change.
    """
    if now != wanted.nearest(now):
        return Decision(wanted.nearest(now), f"{wanted.min} to {wanted.max} are wanted")
    queue = f"requests queue for {1000 * work.queue_seconds:.0f} ms"
    if work.queue_seconds >= rule.up_queue_seconds and now < wanted.max and unchanged_seconds >= rule.up_seconds:
        return Decision(now + 1, f"{queue}, {1000 * rule.up_queue_seconds:.0f} ms or more")
    is_calm = work.queue_seconds <= rule.down_queue_seconds and now > wanted.min
    busy = work.busy_instances / (instances * (now - 1)) if is_calm else 1.0
    if busy <= BUSY_SHARE and unchanged_seconds >= rule.down_seconds:
        return Decision(now - 1, f"{queue}, and {now - 1} would be busy for {busy:.0%} of the time")
    return None
