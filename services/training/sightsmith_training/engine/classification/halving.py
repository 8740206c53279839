"""Successive halving: many candidates get a little time, the better half of them gets more, and so on."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Contender(Protocol):
    """Something that can be trained in rungs, each going on from the one before."""

    @property
    def name(self) -> str:
        """Tells it from the other contenders, in every search for the same."""

    def cost(self, rung: int) -> float:
        """Estimated seconds of a rung; only as good as a guess."""

    def train(self, rung: int) -> float:
        """Trains to the end of a rung; rungs count from 0 and come in order.

        Returns:
            Seconds of the rung's work, also of what an earlier process did and this one only found.
        """

    def score(self) -> float:
        """How good it is after its last rung, the higher the better."""


C = TypeVar("C", bound=Contender)

Decide = Callable[[str, Callable[[], bool]], bool]
"""Answers what is asked by asking now, or as it was answered before."""


class Budget:
    """Seconds that may be spent, counted from its making."""

    def __init__(
        self,
        seconds: float,
        now: Callable[[], float] = time.monotonic,
        decide: Decide = lambda question, answer: answer(),
    ) -> None:
        """Takes the seconds, a clock, and who remembers what was decided by it."""
        self._now = now
        self._end = now() + seconds
        self._decide = decide

    @property
    def left(self) -> float:
        """Seconds that are left; below 0 when too many were spent."""
        return self._end - self._now()

    def now(self) -> float:
        """The time of its clock in seconds."""
        return self._now()

    def has_time_for(self, what: str, seconds: float) -> bool:
        """Whether something that is expected to take so long may begin, or began before."""
        return self._decide(what, lambda: seconds <= self.left)

    def share(self, share: float) -> "Budget":
        """A part of what is left, 0 to 1."""
        return Budget(self.left * share, self._now, self._decide)

    def remembered_by(self, decide: Decide) -> "Budget":
        """The same seconds, decided about by somebody who remembers."""
        return Budget(self.left, self._now, decide)


@dataclass
class Standing(Generic[C]):
    """How far a contender came.

    Attributes:
        contender: what was tried.
        rungs: how many it was trained for.
        score: after the last of them; None before the first.
        seconds: spent on it.
        dropped: why it went no further; empty for those that came through.
    """

    contender: C
    rungs: int = 0
    score: float | None = None
    seconds: float = 0.0
    dropped: str = ""


def halve(
    contenders: Sequence[C],
    rungs: int,
    budget: Budget,
    reserve: Callable[[C], float] = lambda _: 0.0,
    advance: Callable[[float, float | None], None] = lambda share, best: None,
    at_once: int = 1,
    pace: float = 1.0,
) -> list[Standing[C]]:
    """Trains all contenders for one rung, the better half of them for another, and so on until the last rung.

    Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization" (2016), figure 3.
    A rung begins only if there is time for it as far as one can tell, so the budget is overdrawn by one rung of as many
    contenders as are trained at once. How far the estimates are off is learned from the rungs that were run.

    Args:
        contenders: in the order of trial, so the cheap ones first: the last ones find no time.
        rungs: at least 1.
        budget: of the whole.
        reserve: seconds that will be needed afterwards should this contender win.
        advance: called after each rung of a contender with the share of the rungs that are done and the best score.
        at_once: contenders that are trained beside each other, each in a thread of its own.
        pace: of the machine until a rung was run: how long things take, as a multiple of what is estimated.

    Returns:
        One standing for each contender, in their order.
    """
    standings = [Standing(contender) for contender in contenders]
    race = _Race(standings, rungs, budget, reserve, advance, pace)
    for rung in range(rungs):
        race.run(rung, at_once)
        if rung + 1 < rungs:
            race.drop_worse_half()
    return standings


class _Race(Generic[C]):
    def __init__(
        self,
        standings: Sequence[Standing[C]],
        rungs: int,
        budget: Budget,
        reserve: Callable[[C], float],
        advance: Callable[[float, float | None], None],
        pace: float,
    ) -> None:
        self._standings = standings
        self._budget = budget
        self._reserve = reserve
        self._advance = advance
        self._pace = pace
        self._estimated = self._spent = 0.0
        self._whole = sum(math.ceil(len(standings) / 2**rung) for rung in range(rungs))
        self._done = 0
        self._lock = threading.Lock()

    @property
    def _alive(self) -> list[Standing[C]]:
        return [standing for standing in self._standings if not standing.dropped]

    def run(self, rung: int, at_once: int) -> None:
        with ThreadPoolExecutor(at_once) as pool:
            for _ in pool.map(lambda standing: self._train_if_time(standing, rung), self._alive):
                pass

    def _train_if_time(self, standing: Standing[C], rung: int) -> None:
        contender = standing.contender
        if self._budget.has_time_for(f"{contender.name}: rung {rung + 1}", self._expected(contender, rung)):
            self._train(standing, rung)
        else:
            standing.dropped = f"no time was left for rung {rung + 1}"

    def drop_worse_half(self) -> None:
        ranked = sorted(self._alive, key=lambda standing: -_score(standing))
        for standing in ranked[math.ceil(len(ranked) / 2) :]:
            standing.dropped = f"in the worse half after rung {standing.rungs}"

    def _train(self, standing: Standing[C], rung: int) -> None:
        started = self._budget.now()
        worked = standing.contender.train(rung)
        score = standing.contender.score()
        # A rung that was found done takes no time, which says nothing about how long the next one takes.
        seconds = max(worked, self._budget.now() - started)
        with self._lock:
            standing.score = score
            standing.seconds += seconds
            standing.rungs = rung + 1
            self._estimated += standing.contender.cost(rung)
            self._spent += seconds
            self._done += 1
            self._advance(min(1.0, self._done / self._whole), max(map(_score, self._standings)))

    def _expected(self, contender: C, rung: int) -> float:
        pace = self._spent / self._estimated if self._estimated else self._pace
        return pace * (contender.cost(rung) + self._reserve(contender))


def _score(standing: Standing[C]) -> float:
    return -math.inf if standing.score is None else standing.score
