"""How a search divides its time: what is planned by the clock, once, and kept for a search that goes on later."""

from collections.abc import Callable, Mapping

from sightsmith_training.engine.classification.halving import Budget
from sightsmith_training.engine.detection.design import Design, seconds_per_image
from sightsmith_training.engine.detection.ground import Ground, Trained
from sightsmith_training.engine.detection.pace import Pace
from sightsmith_training.engine.specification import Effort

TRIALS_SHARE: Mapping[Effort, float] = {"fast": 1.0, "balanced": 0.25, "best": 0.32}
"""Of the time, for all trials together."""

_LEAST_LOOKED_AT = 24


def first_pace(ground: Ground, design: Design, budget: Budget) -> Pace:
    """The time for the search, and how fast the machine is in a few steps."""
    return _kept(ground, "pace.json", lambda: Pace(budget.left, ground.step_seconds(design)))


def pace_with(ground: Ground, design: Design, pace: Pace) -> Pace:
    """The same time, and how fast the machine is with another design in a few steps."""
    return _kept(ground, f"pace-{design.key}.json", lambda: Pace(pace.seconds, ground.step_seconds(design)))


def pace_after(ground: Ground, name: str, trained: Trained, pace: Pace, budget: Budget) -> Pace:
    """The time that is left, and how fast the machine is in a training: it may be busier by now, or less.

    Args:
        ground: of the search.
        name: of the file, one for each such question.
        trained: what was trained.
        pace: as it was known before.
        budget: of the search.
    """
    return _kept(ground, name, lambda: Pace(budget.left, trained.step_seconds or pace.step_seconds))


def bearable_images(ground: Ground, pace: Pace, design: Design, share: float) -> int:
    """How many images a detector can look at in a share of the time, but some in any case."""
    seconds = share * pace.seconds * ground.wish.threads
    return max(_LEAST_LOOKED_AT, int(seconds / seconds_per_image(design.seen_side)))


def _kept(ground: Ground, name: str, measure: Callable[[], Pace]) -> Pace:
    """Measured once: a training that goes on later keeps to what was planned."""
    wish = ground.wish
    file = wish.folder / name
    wish.restore(file)
    pace = Pace.load(file)
    if pace is None:
        pace = measure()
        pace.save(file)
        wish.save(file)
    return pace
