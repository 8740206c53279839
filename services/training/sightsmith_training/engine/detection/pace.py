"""How many steps of training there is time for."""

import json
from bisect import bisect_right
from dataclasses import asdict, dataclass
from pathlib import Path

from sightsmith_training.engine.detection.tuning import Recipe

_STEPS = tuple(round(10 ** (exponent / 20)) for exponent in range(20, 101))
"""Renard's series R20 (ISO 3): a machine that is a little slower than another one trains the same number of steps."""

LEAST_STEPS = 200
"""Fewer teach nothing, so a budget that is too small for them is overdrawn."""

_COSTS = (1.0, 0.82, 0.73)

_MOST_VIEWS = 120  # Of one image; more of them teach nothing new.


@dataclass(frozen=True)
class Pace:
    """The time that there is, and how fast the machine is.

    Attributes:
        seconds: for all of the search.
        step_seconds: wall time of a step that costs 1, see `step_cost`.
    """

    seconds: float
    step_seconds: float

    def steps(self, share: float, recipe: Recipe, images: int) -> int:
        """How many steps a training may take.

        What teaches is steps, not rounds: a few images are seen more often than many, up to a limit.

        Args:
            share: of the time.
            recipe: of the training; its own number of steps does not matter.
            images: to learn from.
        """
        affordable = share * self.seconds / (self.step_seconds * step_cost(recipe))
        useful = _MOST_VIEWS * images / recipe.batch
        place = bisect_right(_STEPS, min(affordable, useful))
        return max(LEAST_STEPS, _STEPS[max(0, place - 1)])

    def seconds_of(self, steps: int, recipe: Recipe) -> float:
        """How long so many steps take."""
        return steps * self.step_seconds * step_cost(recipe)

    def save(self, file: Path) -> None:
        """Keeps it, so that a training that goes on later does what it would have done."""
        file.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, file: Path) -> "Pace | None":
        """Reads what `save` wrote; None if there is nothing, or if it is damaged, which is as good as nothing."""
        try:
            return cls(**json.loads(file.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None


def step_cost(recipe: Recipe) -> float:
    """Mean cost of a step, as a multiple of one that sees parts and trains the whole network.

    It is in proportion to the pixels, and lower for frozen stages: measured, 0.82 for one and 0.73 for two of them.
    """
    pixels = 1 + recipe.whole * ((recipe.last_part / recipe.part) ** 2 - 1)
    return pixels * learning_cost(recipe.frozen)


def learning_cost(frozen: int) -> float:
    """What a step costs with some stages frozen, as a share of what it costs with none."""
    return _COSTS[min(frozen, len(_COSTS) - 1)]
