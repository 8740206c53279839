"""How outcomes are called and marked wherever people see them: never by colour alone."""

from dataclasses import dataclass

from sightsmith_training.engine.judging.matches import Outcome


@dataclass(frozen=True)
class Look:
    """How an outcome is shown.

    Attributes:
        short: as engineers write it.
        name: in words.
        mark: one character.
        colour: of its boxes, on any picture.
    """

    short: str
    name: str
    mark: str
    colour: str


LOOKS = {
    Outcome.TRUE_POSITIVE: Look("TP", "right", "✓", "#1b9e4b"),
    Outcome.FALSE_POSITIVE: Look("FP", "wrongly predicted", "✗", "#d62728"),
    Outcome.FALSE_NEGATIVE: Look("FN", "missed", "?", "#e69100"),
}


def percent(share: float) -> str:
    """A confidence, as in `97 %`; only what is certain is told as 100 %."""
    return f"{min(round(100 * share), 99 if share < 1 else 100)} %"
