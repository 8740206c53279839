"""Work for the processes of a Ray cluster, which find it by its module."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import ray
from torch import distributed

from sightsmith_training.engine.classification.fine_tuning import Examples, FineTuning, Recipe
from sightsmith_training.engine.errors import TrainingError

from ...unit.training_engine.classification.shapes import blank_head, small_backbone


def meet(values: np.ndarray, advance: Callable[[float], None]) -> tuple[str, int]:
    """The node, and the sum of the values; slow enough for others to begin meanwhile."""
    time.sleep(1)
    return _node(), int(values.sum())


def refuse(advance: Callable[[float], None]) -> None:
    raise TrainingError("DISK_FULL", "there is no room")


def die_once(died: Path, advance: Callable[[float], None]) -> str:
    if not died.exists():
        died.touch()
        os._exit(1)
    return "done"


def train_together(
    pixels: np.ndarray, truth: np.ndarray, advance: Callable[[float], None]
) -> tuple[list[float], int, set[str]]:
    """The losses, how many trained together, and on which nodes."""
    recipe = Recipe(body_rate=5e-3, frozen_share=0.0, epochs=2, batch=12)
    tuning = FineTuning(small_backbone(), blank_head(), recipe, 1, 1)
    tuning.run(Examples(pixels, truth, np.arange(len(pixels))), 2)
    losses = [epoch.loss for epoch in tuning.epochs]
    if not distributed.is_initialized():
        return losses, 1, set()
    nodes: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(nodes, _node())
    return losses, len(nodes), set(nodes)


def _node() -> str:
    return str(ray.get_runtime_context().get_node_id())
