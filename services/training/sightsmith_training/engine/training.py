"""A training from its specification to its result."""

from collections.abc import Callable

import torch

from sightsmith_training.engine.classifier_training import train_classifier
from sightsmith_training.engine.contract import Progress, TrainingResult
from sightsmith_training.engine.detector_training import train_detector
from sightsmith_training.engine.job import Job
from sightsmith_training.engine.rare_labels import LeftOut, leave_out_rare_labels
from sightsmith_training.engine.specification import TrainingSpec
from sightsmith_training.engine.tasks import decide_task


def train(spec: TrainingSpec, send: Callable[[Progress], None]) -> TrainingResult:
    """Carries out a training: decide, read, search, fit, evaluate, export, check.

    Args:
        spec: what to train.
        send: called with each progress message.

    Raises:
        TrainingError: for a reason that the owner of the images can understand.
    """
    decision = decide_task(spec.entries, spec.options.task)
    entries, left_out = spec.entries, LeftOut()
    if spec.options.leave_out_rare_labels:
        entries, left_out = leave_out_rare_labels(spec.entries, decision, spec.min_images_per_label)
    spec = spec.model_copy(update={"entries": entries})
    torch.set_num_threads(1)  # Batches run beside each other, each on one core.
    with Job.begin(spec, decision, left_out) as job:
        return train_detector(job, send) if decision.task == "detection" else train_classifier(job, send)
