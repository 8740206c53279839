"""How a `TrainingError` travels between processes: as what it tells, from which it is made anew."""

import copyreg
from typing import Any

from sightsmith_training.engine.contract import Failure
from sightsmith_training.engine.errors import TrainingError


def let_training_errors_travel() -> None:
    """To be called before errors are pickled; otherwise they could not be made again from their message alone."""
    copyreg.pickle(TrainingError, _reduce)


def _reduce(error: TrainingError) -> tuple[Any, ...]:
    return _made_anew, (error.failure,)


def _made_anew(failure: Failure) -> TrainingError:
    return TrainingError(failure.reason, failure.message, failure.violations, **failure.metadata)
