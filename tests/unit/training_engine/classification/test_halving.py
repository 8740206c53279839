"""Successive halving over contenders whose clock is a number."""

from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from sightsmith_training.engine.classification.halving import Budget, halve


@dataclass
class Clock:
    seconds: float = 0.0

    def now(self) -> float:
        return self.seconds


@dataclass
class Racer:
    clock: Clock
    quality: float
    estimated: float
    real: float
    found: int = 0  # Rungs that an earlier process did.
    name: str = "racer"
    trained: list[int] = field(default_factory=list)

    def cost(self, rung: int) -> float:
        return self.estimated * 2**rung

    def train(self, rung: int) -> float:
        self.trained.append(rung)
        seconds = self.real * 2**rung
        self.clock.seconds += 0 if rung < self.found else seconds
        return seconds

    def score(self) -> float:
        return self.quality


_qualities = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@settings(max_examples=100, deadline=None)
@given(qualities=_qualities, rungs=st.integers(1, 4))
def test_with_time_enough_the_best_comes_through(qualities: list[float], rungs: int) -> None:
    clock = Clock()
    standings = halve([Racer(clock, each, 1, 1) for each in qualities], rungs, Budget(1e9, clock.now))
    through = [standing for standing in standings if not standing.dropped]
    assert max(qualities) in [standing.score for standing in through]
    assert all(standing.contender.trained == list(range(standing.rungs)) for standing in standings)
    assert all(standing.rungs == rungs for standing in through)
    assert all(standing.rungs < rungs and standing.dropped for standing in standings if standing not in through)


@settings(max_examples=100, deadline=None)
@given(
    qualities=_qualities,
    paces=st.lists(st.floats(0.1, 10), min_size=12, max_size=12),
    seconds=st.floats(0, 60),
)
def test_the_budget_is_overdrawn_by_one_rung_at_most(
    qualities: list[float], paces: list[float], seconds: float
) -> None:
    clock = Clock()
    racers = [Racer(clock, quality, 1, pace) for quality, pace in zip(qualities, paces, strict=False)]
    standings = halve(racers, 3, Budget(seconds, clock.now))
    longest = max((racer.real * 2**rung for racer in racers for rung in racer.trained), default=0)
    assert clock.seconds <= seconds + longest
    assert abs(sum(standing.seconds for standing in standings) - clock.seconds) < 1e-6


def test_what_the_winner_needs_afterwards_is_kept_back() -> None:
    clock = Clock()
    standings = halve([Racer(clock, 1, 10, 10)], 1, Budget(25, clock.now), reserve=lambda _: 20)
    assert clock.seconds == 0
    assert standings[0].dropped == "no time was left for rung 1"


def test_progress_rises_to_the_end_and_tells_the_best_score() -> None:
    clock, told = Clock(), []
    racers = [Racer(clock, quality, 1, 1) for quality in (0.2, 0.9, 0.4)]
    halve(racers, 2, Budget(1e9, clock.now), advance=lambda share, best: told.append((share, best)))
    assert [best for _, best in told] == [0.2, 0.9, 0.9, 0.9, 0.9]
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_rungs_that_are_found_done_do_not_make_the_next_ones_look_free() -> None:
    clock = Clock()
    (standing,) = halve([Racer(clock, 1, 10, 10, found=1)], 2, Budget(50, clock.now), reserve=lambda _: 40)
    assert clock.seconds == 0
    assert standing.dropped == "no time was left for rung 2"


@settings(max_examples=60, deadline=None)
@given(
    qualities=_qualities,
    seconds=st.floats(0, 60),
    again=st.floats(-60, 120),
    paces=st.lists(st.floats(0.1, 10), min_size=12, max_size=12),
)
def test_a_race_that_is_run_again_decides_nothing_by_the_clock(
    qualities: list[float], seconds: float, again: float, paces: list[float]
) -> None:
    decisions: dict[str, bool] = {}

    def decide(question: str, answer: Callable[[], bool]) -> bool:
        return decisions.setdefault(question, answer())

    def race(budget: float, found: int) -> list[tuple[int, str]]:
        clock = Clock()
        racers = [
            Racer(clock, quality, 1, pace, found, f"racer {number}")
            for number, (quality, pace) in enumerate(zip(qualities, paces, strict=False))
        ]
        standings = halve(racers, 3, Budget(budget, clock.now, decide))
        assert not found or clock.seconds == 0
        return [(standing.rungs, standing.dropped) for standing in standings]

    assert race(seconds, 0) == race(again, 3)


def test_the_first_rung_is_planned_by_the_pace_that_is_known_already() -> None:
    clock = Clock()
    (standing,) = halve([Racer(clock, 1, 10, 30)], 1, Budget(25, clock.now), pace=3)
    assert clock.seconds == 0
    assert standing.dropped == "no time was left for rung 1"
