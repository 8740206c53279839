"""Progress of the whole job in one number, and the time that is left."""

import time
from collections.abc import Callable, Mapping

from sightsmith_training.engine.contract import Phase, Progress

_SECONDS_BETWEEN_MESSAGES = 0.25
_SHARE_NEEDED_FOR_AN_ESTIMATE = 0.02
_SECONDS_TRUSTED = 10.0  # The plan is trusted as much as so many seconds of it that were measured.

Note = Callable[[str, Mapping[str, float]], None]
"""Called with what exactly is done, for people, and with figures of it by name."""


def no_note(activity: str, metrics: Mapping[str, float]) -> None:
    """For those who want no notes."""


class ProgressMeter:
    """Adds up phases of known relative cost and tells how far the job is.

    The costs are rough seconds on an ordinary core; how fast this machine is shows while it works.
    """

    def __init__(
        self, costs: Mapping[Phase, float], send: Callable[[Progress], None], started: float | None = None
    ) -> None:
        """Takes the phases in the order in which they will run.

        Args:
            costs: expected seconds of each phase, at least one of them above zero.
            send: called with each message.
            started: `time.monotonic()` at which the job began; now if not given.
        """
        self._costs = dict(costs)
        self._send = send
        self._phase: Phase = next(iter(self._costs))
        self._finished_cost = 0.0
        self._share = 0.0
        self._best_score: float | None = None
        self._activity = ""
        self._metrics: dict[str, float] = {}
        self._told_before = 0.0
        self._phase_started = time.monotonic() if started is None else started
        self._share_seconds = 0.0
        self._ends: float | None = None
        self._expected = self._took = _SECONDS_TRUSTED
        self._sent = -_SECONDS_BETWEEN_MESSAGES
        self.seconds: dict[str, float] = {}

    @property
    def phase(self) -> Phase:
        """What is being done."""
        return self._phase

    def cost(self, phase: Phase) -> float:
        """What was expected of a phase."""
        return self._costs[phase]

    @property
    def pace(self) -> float:
        """How long things take, as a multiple of what was expected: below 1 on a fast machine, above on a busy one."""
        return self._took / self._expected

    def plan_anew(self, costs: Mapping[Phase, float]) -> None:
        """Begins again with other phases, when what was done so far turned out to be of no use.

        What was told is not taken back: the new phases share the percentage that is left.
        """
        self._close()
        self._told_before += (1 - self._told_before) * self._done
        self._costs = dict(costs)
        self._phase, self._finished_cost = next(iter(self._costs)), 0.0
        self._share = self._share_seconds = 0.0
        self._ends = None

    def enter(self, phase: Phase, ends: float | None = None) -> None:
        """Ends the phase before and begins this one.

        Args:
            phase: that begins.
            ends: when everything is to be done, on the clock of `time.monotonic`, if this phase leaves out whatever
                there is no time for; None if it takes as long as it takes.
        """
        seconds = self._close()
        if phase != self._phase:
            self._learn_pace(seconds)
            self._finished_cost += self._costs[self._phase]
        self._phase, self._ends = phase, ends
        self._share = self._share_seconds = 0.0
        self._activity, self._metrics = "", {}
        self._tell()

    def note(self, activity: str, metrics: Mapping[str, float]) -> None:
        """Says what exactly is done in the current phase, with figures by name."""
        is_news = activity != self._activity
        self._activity, self._metrics = activity, dict(metrics)
        # Something new may take long, so it is told at once.
        self._tell_now_and_then(is_news)

    def advance(self, share: float, best_score: float | None = None) -> None:
        """Says how much of the current phase is done, 0 to 1; a step back is ignored."""
        if share > self._share:
            self._share = min(1.0, share)
            self._share_seconds = time.monotonic() - self._phase_started
        if best_score is not None:
            self._best_score = best_score
        self._tell_now_and_then()

    def finish(self) -> None:
        """Ends the last phase."""
        self._close()
        self._finished_cost = sum(self._costs.values()) - self._costs[self._phase]
        self._share, self._share_seconds = 1.0, 0.0
        self._tell()

    def _close(self) -> float:
        now = time.monotonic()
        seconds = now - self._phase_started
        self.seconds[self._phase] = self.seconds.get(self._phase, 0.0) + round(seconds, 3)
        self._phase_started = now
        return seconds

    def _learn_pace(self, seconds: float) -> None:
        """A phase that leaves out what there is no time for takes as long on any machine."""
        if self._ends is None:
            self._took += seconds
            self._expected += self._costs[self._phase]

    @property
    def _done(self) -> float:
        """Share of the plan."""
        cost = self._finished_cost + self._share * self._costs[self._phase]
        return min(1.0, cost / sum(self._costs.values()))

    def _tell_now_and_then(self, at_once: bool = False) -> None:
        if at_once or time.monotonic() - self._sent >= _SECONDS_BETWEEN_MESSAGES:
            self._tell()

    def _tell(self) -> None:
        self._sent = time.monotonic()
        done = self._done
        remaining = round(self._remaining(self._sent), 1) if done >= _SHARE_NEEDED_FOR_AN_ESTIMATE else None
        self._send(
            Progress(
                phase=self._phase,
                percent=round(100 * (self._told_before + (1 - self._told_before) * done), 1),
                remaining_seconds=remaining,
                best_score=self._best_score,
                activity=self._activity,
                metrics=self._metrics,
            )
        )

    def _remaining(self, now: float) -> float:
        """Seconds to the end: of this phase by its own speed, of those after it by that of those before it."""
        after = self.pace * max(0.0, sum(self._costs.values()) - self._finished_cost - self._costs[self._phase])
        in_phase = now - self._phase_started
        measured = self._share >= _SHARE_NEEDED_FOR_AN_ESTIMATE
        whole = self._share_seconds / self._share if measured else self.pace * self._costs[self._phase]
        rest = max(0.0, whole - in_phase)
        if self._ends is not None:
            rest = min(rest, max(0.0, self._ends - now - after))
        return rest + after


def part_of(advance: Callable[[float], None], start: float, stop: float) -> Callable[[float], None]:
    """What a part of a phase tells its progress to: 0 to 1 of the part is `start` to `stop` of the phase."""
    return lambda share: advance(start + share * (stop - start))
