"""Training a detector."""

from collections.abc import Callable

from sightsmith_training.engine.contract import Progress, TrainingResult
from sightsmith_training.engine.errors import TrainingError
from sightsmith_training.engine.job import Job


def train_detector(job: Job, send: Callable[[Progress], None]) -> TrainingResult:
    """Trains a detector."""
    raise TrainingError("TRAINING_FAILED", f"{job.decision.reason} Detectors cannot be trained yet.")
