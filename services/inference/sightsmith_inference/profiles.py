"""What was measured of a model in an inference server, and which set-up was chosen by it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sightsmith_inference.setups import Setup


@dataclass(frozen=True)
class Trial:
    """A set-up and how fast it is.

    Attributes:
        setup: what was tried.
        images_per_second: its throughput.
        p95_seconds: time that 95 in 100 requests took at most.
    """

    setup: Setup
    images_per_second: float
    p95_seconds: float


@dataclass(frozen=True)
class Profile:
    """The trials of a model.

    Attributes:
        trials: at least one, in the order in which they were made.
        measure_time: when that was.
    """

    trials: tuple[Trial, ...]
    measure_time: datetime

    @property
    def best(self) -> Trial:
        """The one with the greatest throughput; of equal ones, the first."""
        return max(self.trials, key=lambda trial: trial.images_per_second)


def profile_to_json(profile: Profile) -> dict[str, Any]:
    """A profile as it is stored."""
    return {"trials": [asdict(trial) for trial in profile.trials], "measure_time": profile.measure_time.isoformat()}


def profile_of(stored: Mapping[str, Any]) -> Profile:
    """A profile as it was stored."""
    trials: Sequence[Mapping[str, Any]] = stored["trials"]
    return Profile(
        tuple(Trial(**{**trial, "setup": Setup(**trial["setup"])}) for trial in trials),
        datetime.fromisoformat(stored["measure_time"]),
    )
