"""Work for the members of a group, which find it by its module."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from sightsmith_training.engine.classification.fine_tuning import Examples, FineTuning, Recipe, Report
from sightsmith_training.engine.classification.heads import Head
from sightsmith_training.engine.distribution.places import find_place
from sightsmith_training.engine.errors import TrainingError


def fine_tune(
    backbone: nn.Module,
    head: Head,
    recipe: Recipe,
    examples: Examples,
    checkpoint: Path,
    accident: Path,
    advance: Report,
) -> tuple[list[float], list[float | None], np.ndarray, int]:
    """Losses, held-out losses, logits and the size of the group.

    The file `accident` lets the last member break off once, after the second epoch.
    """
    place = find_place()
    tuning = FineTuning(backbone, head, recipe, 1, 1)
    if place.rank == place.size - 1 and accident.exists():
        tuning.run(examples, 2, checkpoint)
        accident.unlink()
        os._exit(1)
    tuning.run(examples, recipe.epochs, checkpoint, advance)
    losses = [epoch.loss for epoch in tuning.epochs]
    return losses, [epoch.held_out_loss for epoch in tuning.epochs], tuning.logits(examples.pixels), place.size


def refuse(*_: Any, advance: Callable[[float], None]) -> None:
    raise TrainingError("DISK_FULL", "there is no room", free=0)
