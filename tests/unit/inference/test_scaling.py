"""Replicas follow the queue within their range, one at a time, and do not swing."""

from hypothesis import assume, given
from hypothesis import strategies as st

from sightsmith_inference.replicas import ReplicaRange
from sightsmith_inference.scaling import BUSY_SHARE, Decision, ScalingRule, Work, decide

RULE = ScalingRule(up_queue_seconds=0.05, down_queue_seconds=0.005, up_seconds=15, down_seconds=120)
LONG = 1000.0
ranges = st.tuples(st.integers(1, 8), st.integers(0, 8)).map(lambda pair: ReplicaRange(pair[0], pair[0] + pair[1]))
works = st.builds(
    Work,
    requests=st.integers(0, 1000),
    queue_seconds=st.floats(0, 10),
    busy_instances=st.floats(0, 20),
)


def _after(decision: Decision | None, now: int) -> int:
    return now if decision is None else decision.replicas


@given(ranges, st.integers(1, 20), st.integers(1, 4), works, st.floats(0, LONG))
def test_it_stays_in_the_range_and_goes_one_step_at_a_time(
    wanted: ReplicaRange, now: int, instances: int, work: Work, seconds: float
) -> None:
    after = _after(decide(RULE, wanted, now, instances, work, seconds), now)
    assert wanted.min <= after <= wanted.max
    assert abs(after - wanted.nearest(now)) <= 1


@given(ranges, st.integers(1, 16), works, st.floats(0, 14.9))
def test_a_change_is_left_alone_for_a_while(wanted: ReplicaRange, now: int, work: Work, seconds: float) -> None:
    now = wanted.nearest(now)
    assert decide(RULE, wanted, now, 1, work, seconds) is None


@given(ranges, st.integers(1, 16), works, st.floats(0, 10))
def test_a_longer_queue_never_means_fewer(wanted: ReplicaRange, now: int, work: Work, longer: float) -> None:
    now = wanted.nearest(now)
    more = Work(work.requests, work.queue_seconds + longer, work.busy_instances)
    assert _after(decide(RULE, wanted, now, 1, more, LONG), now) >= _after(
        decide(RULE, wanted, now, 1, work, LONG), now
    )


@given(st.integers(2, 16), st.integers(1, 4), works)
def test_one_goes_only_if_the_others_have_time(now: int, instances: int, work: Work) -> None:
    decision = decide(RULE, ReplicaRange(1, 16), now, instances, work, LONG)
    assume(decision is not None and decision.replicas < now)
    assert work.queue_seconds <= RULE.down_queue_seconds
    assert work.busy_instances <= BUSY_SHARE * instances * (now - 1) + 1e-9


def test_why_is_told() -> None:
    queued = decide(RULE, ReplicaRange(1, 4), 1, 1, Work(100, 0.08, 1.0), LONG)
    assert queued == Decision(2, "requests queue for 80 ms, 50 ms or more")
    calm = decide(RULE, ReplicaRange(1, 4), 3, 1, Work(10, 0.001, 0.5), LONG)
    assert calm == Decision(2, "requests queue for 1 ms, and 2 would be busy for 25% of the time")
