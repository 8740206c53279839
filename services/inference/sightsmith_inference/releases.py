"""Releases: which model versions answer under a deployment's name together, and how they share its traffic."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sightsmith.errors import FieldViolation
from sightsmith_inference.models import RuntimeWish, ServableModel

LIVE: Final = "live"
"""The alias of a deployment's own model; it has all traffic that no other alias takes."""

MAX_ALIASES = 10
# Shares are written by people in decimal figures, which do not sum up exactly.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class ShadowFigures:
    """How a shadow did so far.

    Attributes:
        compared: images that it saw after the live model.
        disagreed: of these, images that it gave other labels.
        dropped: images that it was to see, and did not because it was too busy.
        failed: images that it could not answer.
        seconds: that it took for the compared images in all.
    """

    compared: int = 0
    disagreed: int = 0
    dropped: int = 0
    failed: int = 0
    seconds: float = 0.0

    def __add__(self, more: "ShadowFigures") -> "ShadowFigures":
        return ShadowFigures(*(mine + its for mine, its in zip(vars(self).values(), vars(more).values(), strict=True)))


@dataclass(frozen=True)
class Target:
    """A model version behind a deployment's name.

    Attributes:
        alias: by which callers may ask for it.
        model: the model version, `projects/{project}/models/{model}`.
        runtime: what is wanted to run it.
        share: of the traffic, 0 to 1; of a shadow, the share of the live model's images that it sees too.
        is_shadow: whether it only sees copies of images and answers nobody.
        servable: what runs it; None while it is not in service.
        is_staged: whether its files stand ready. If not, and it has answered before, it has been deleted since.
        figures: of a shadow.
    """

    alias: str
    model: str
    runtime: RuntimeWish
    share: float
    is_shadow: bool = False
    servable: ServableModel | None = None
    is_staged: bool = False
    figures: ShadowFigures = ShadowFigures()


@dataclass(frozen=True)
class Release:
    """What answers together. Never changed: another model or share is another release.

    Attributes:
        number: 1, 2, 3, … in the order of the wishes for a deployment.
        targets: the live one first.
        serve_time: when it was last put into service; None if it never was.
    """

    number: int
    targets: tuple[Target, ...]
    serve_time: datetime | None = None

    @property
    def live(self) -> Target:
        """The deployment's own model."""
        return self.targets[0]

    @property
    def others(self) -> Sequence[Target]:
        """All but the live one."""
        return self.targets[1:]

    @property
    def shadows(self) -> Sequence[Target]:
        """Those that answer nobody."""
        return [target for target in self.targets if target.is_shadow]

    @property
    def servables(self) -> Sequence[ServableModel]:
        """What runs them, shadows too."""
        return [target.servable for target in self.targets if target.servable]

    def find(self, alias: str) -> Target | None:
        """The one of an alias that answers; None if there is none."""
        return next((target for target in self.targets if target.alias == alias and not target.is_shadow), None)

    def pick(self, chance: float) -> Target:
        """The one that a request goes to, by a random number of at least 0 and below 1."""
        for target in self.others:
            if not target.is_shadow:
                chance -= target.share
                if chance < 0:
                    return target
        return self.live


def targets_of(model: str, runtime: RuntimeWish, others: Collection[Target]) -> tuple[Target, ...]:
    """The targets of a release: a deployment's own model gets what the others leave."""
    taken = sum(target.share for target in others if not target.is_shadow)
    live = Target(LIVE, model, runtime, min(max(1 - taken, 0.0), 1.0))
    return (live, *sorted(others, key=lambda target: target.alias))


def violations_of(others: Sequence[Target]) -> Iterator[FieldViolation]:
    """What is wrong with the aliases beside the live one."""
    field = "deployment.aliases"
    if len(others) > MAX_ALIASES:
        yield FieldViolation(field, f"must be at most {MAX_ALIASES}, not {len(others)}")
    seen = {LIVE: "stands for `deployment.model`"}
    for index, target in enumerate(others):
        if target.alias in seen:
            yield FieldViolation(f"{field}[{index}].alias", f"{target.alias!r} {seen[target.alias]}")
        seen[target.alias] = "is there twice"
        # Not a number compares false with everything, and so is found too.
        if not 0 <= target.share <= 1:
            yield FieldViolation(f"{field}[{index}].share", f"must be from 0 to 1, not {target.share}")
    if (taken := sum(target.share for target in others if not target.is_shadow)) > 1 + _ROUNDING:
        yield FieldViolation(field, f"must not take more than the whole traffic: their shares sum to {taken:.4g}")
