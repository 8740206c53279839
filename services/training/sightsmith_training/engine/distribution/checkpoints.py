"""States of trainings in files."""

import os
import pickle
from pathlib import Path
from typing import Any

import torch

State = dict[str, Any]
"""Everything that a training needs to go on: tensors on the processor, and plain values."""


def write_state(file: Path, state: State) -> None:
    """Writes a state beside its place, and renames it: a file there is always whole."""
    beside = file.with_name(f"{file.name}.{os.getpid()}.part")
    torch.save(state, beside)
    beside.replace(file)


def read_state(file: Path) -> State | None:
    """What `write_state` wrote; None if there is nothing, or if it is damaged, which is as good as nothing."""
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, ValueError, EOFError, OSError, pickle.UnpicklingError):
        return None
    return state if isinstance(state, dict) else None
