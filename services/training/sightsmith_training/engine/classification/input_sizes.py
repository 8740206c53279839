"""The best backbone once more, on larger or smaller pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sightsmith_training.engine.classification.candidates import Trial
from sightsmith_training.engine.heads import Features

_SHARE_OF_TIME = 0.2  # Of what is left, that another size may take.


@dataclass(frozen=True)
class SizedBackbone:
    """A backbone that is given squares of another side than usual.

    Attributes:
        name: tells it from the backbone that is given the usual squares.
        cost: seconds for one image on an ordinary core.
        seconds: expected until its features are there.
        features: reads the images and computes features of the training images, shape [images, features]; None if the
            images cannot be had at that size. It is given what to call with the share of the work that is done.
    """

    name: str
    cost: float
    seconds: float
    features: Callable[[Callable[[float], None]], Features | None]


def best_alone(probes: Sequence[Trial]) -> list[Trial]:
    """The trials of the backbone that did best alone, one of each strength."""
    alone = [trial for trial in probes if len(trial.backbones) == 1]
    best = max(alone, key=lambda trial: trial.mean)
    return [trial for trial in alone if trial.backbones == best.backbones]


def seconds_to_have(sized: SizedBackbone, before: Sequence[Trial]) -> float:
    """How much time must be left for it to be tried; its probes take as long as those of the same backbone before."""
    return (sized.seconds + sum(trial.seconds for trial in before)) / _SHARE_OF_TIME
