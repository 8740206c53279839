"""The child process in which a training runs, and how it may end."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sightsmith_training.engine.contract import Failure
from sightsmith_training.engine.specification import TrainingSpec
from sightsmith_training.training_process import SpareProcess, TrainingProcess, TrainingProcessKilledError
from sightsmith_training.work_folders import clear_abandoned


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


def files_in(folder: Path) -> list[Path]:
    return [*folder.iterdir()]


def write_log(folder: Path, text: str) -> None:
    (log,) = folder.glob(".engine-*/engine.log")
    log.write_text(text)


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def begun(folder: Path) -> TrainingProcess:
    process = await TrainingProcess.start(folder)
    process.begin(spec(folder))
    return process


async def test_a_failure_comes_with_its_reason(tmp_path: Path) -> None:
    process = await begun(tmp_path)
    try:
        messages = [message async for message in process.messages(600)]
    finally:
        await process.close()
    failure = messages[-1]
    assert isinstance(failure, Failure)
    assert failure.reason == "NOT_ENOUGH_DATA"


async def test_a_killed_process_is_no_failed_training(tmp_path: Path) -> None:
    process = await begun(tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(TrainingProcessKilledError, match="signal 9"):
        _ = [message async for message in process.messages(600)]
    await process.close()


@pytest.mark.parametrize(
    ("sign", "reason"),
    [("Segmentation fault", "TRAINING_FAILED"), ("terminate called after throwing 'std::bad_alloc'", "OUT_OF_MEMORY")],
)
async def test_a_crash_fails_the_training_at_once(tmp_path: Path, sign: str, reason: str) -> None:
    process = await begun(tmp_path)
    log = f'  File "{tmp_path}/network.py", line 3\nin {tmp_path}/weights.pt\n{sign}'
    write_log(tmp_path, log)
    os.kill(process.pid, signal.SIGSEGV)
    with capture_logs() as logs:
        (failure,) = [message async for message in process.messages(600) if isinstance(message, Failure)]
    await process.close()
    assert failure.reason == reason
    assert failure.message == "the training process crashed (SIGSEGV) and gave no result"
    assert failure.metadata == {"log": f"in …\n{sign}"}
    # What other tests have left running may log, too.
    assert [line["end_of_log"] for line in logs if "end_of_log" in line] == [log]


async def test_a_process_that_says_nothing_for_too_long_has_failed(tmp_path: Path) -> None:
    process = await TrainingProcess.start(tmp_path)  # It waits to be told what to do.
    (failure,) = [message async for message in process.messages(0.1)]
    assert isinstance(failure, Failure)
    assert (failure.reason, failure.message) == (
        "TRAINING_FAILED",
        "the training process said nothing for 0.1 s and was ended",
    )
    await process.close()
    assert not process.is_running


async def test_closing_ends_a_process_that_runs(tmp_path: Path) -> None:
    process = await begun(tmp_path)
    await process.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


async def test_a_process_that_waits_is_taken_once_and_replaced_if_it_died(tmp_path: Path) -> None:
    processes = SpareProcess(tmp_path)
    await processes.prepare()
    await processes.prepare()
    assert len(files_in(tmp_path)) == 1
    waiting = await processes.take()
    other = await processes.take()
    assert waiting.pid != other.pid
    await processes.prepare()
    died = await processes.take()
    os.kill(died.pid, signal.SIGKILL)
    for process in (waiting, other):
        process.begin(spec(tmp_path))
        messages = [message async for message in process.messages(600)]
        assert isinstance(messages[-1], Failure)
        assert messages[-1].reason == "NOT_ENOUGH_DATA"
    for process in (waiting, other, died):
        await process.close()
    await processes.close()
    assert files_in(tmp_path) == []


async def test_of_a_worker_that_is_killed_neither_process_nor_files_stay(tmp_path: Path) -> None:
    script = (
        "import asyncio, pathlib, sys\n"
        "from sightsmith_training.training_process import TrainingProcess\n"
        "async def main():\n"
        "    process = await TrainingProcess.start(pathlib.Path(sys.argv[1]))\n"
        "    print(process.pid, flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(tmp_path), stdout=PIPE)
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    assert clear_abandoned(tmp_path) == []
    assert len(files_in(tmp_path)) == 1, "its worker lives"
    parent.kill()
    await parent.wait()
    async with asyncio.timeout(60):
        while is_there(pid):
            await asyncio.sleep(0.1)
    clear_abandoned(tmp_path)
    assert files_in(tmp_path) == []
