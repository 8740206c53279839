"""The child process in which a training runs, and how it may end."""

import os
import signal
from pathlib import Path

import pytest

from sightsmith_training.engine.contract import Failure, TrainingSpec
from sightsmith_training.training_process import TrainingProcess, TrainingProcessKilledError


def spec(folder: Path) -> TrainingSpec:
    """A training of nothing, which fails as soon as it has begun."""
    return TrainingSpec(
        entries=[],
        object_store_url=folder.as_uri(),
        checkpoint_prefix="checkpoints",
        backbone_prefix="backbones",
        output_dir=folder / "output",
        seed=0,
    )


async def test_a_failure_comes_with_its_reason(tmp_path: Path) -> None:
    process = await TrainingProcess.start(spec(tmp_path), tmp_path)
    try:
        messages = [message async for message in process.messages()]
    finally:
        await process.close()
    failure = messages[-1]
    assert isinstance(failure, Failure)
    assert failure.reason == "NOT_ENOUGH_DATA"


async def test_a_killed_process_is_no_failed_training(tmp_path: Path) -> None:
    process = await TrainingProcess.start(spec(tmp_path), tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(TrainingProcessKilledError, match="signal 9"):
        _ = [message async for message in process.messages()]
    await process.close()


async def test_closing_ends_a_process_that_runs(tmp_path: Path) -> None:
    process = await TrainingProcess.start(spec(tmp_path), tmp_path)
    await process.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
