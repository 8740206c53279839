import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest

from sightsmith.errors import NotFoundError
from sightsmith_labeling.piped_processes import PipedProcesses, ProcessDiedError

PROCESSES = 2


def prepare(folder: Path) -> None:
    (folder / str(os.getpid())).touch()


def echo(data: bytes) -> bytes:
    return data


def pid() -> int:
    return os.getpid()


def fail(message: str) -> None:
    raise NotFoundError(message)


def give_back_what_cannot_be_sent() -> Callable[[], None]:
    return lambda: None


def die_unless(survived: Path) -> str:
    if not survived.exists():
        survived.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
async def processes(tmp_path: Path) -> AsyncIterator[PipedProcesses]:
    processes = PipedProcesses(PROCESSES, partial(prepare, tmp_path))
    yield processes
    processes.close()


async def gone(pid: int) -> bool:
    for _ in range(200):
        if not await asyncio.to_thread(Path(f"/proc/{pid}/cmdline").exists):
            return True
        if not await asyncio.to_thread(Path(f"/proc/{pid}/cmdline").read_bytes):
            return True  # It has ended, and only waits to be asked how.
        await asyncio.sleep(0.05)
    return False


async def test_calls_are_answered_whatever_their_size(processes: PipedProcesses, tmp_path: Path) -> None:
    sizes = [0, 1, 70_000, 12_000, 3_000_000, 5] * 4
    answers = await asyncio.gather(*(processes.run(echo, bytes([place]) * size) for place, size in enumerate(sizes)))
    assert answers == [bytes([place]) * size for place, size in enumerate(sizes)]
    assert len(await asyncio.to_thread(os.listdir, tmp_path)) == PROCESSES


async def test_one_call_at_a_time_needs_one_process(processes: PipedProcesses) -> None:
    assert len({await processes.run(pid) for _ in range(3)}) == 1


async def test_an_error_is_raised_where_the_call_was_made(processes: PipedProcesses) -> None:
    with pytest.raises(NotFoundError, match="no such thing") as raised:
        await processes.run(fail, "no such thing")
    assert f"in process {await processes.run(pid)}" in raised.value.__notes__[0]


async def test_an_answer_that_cannot_be_sent_is_an_error_of_that_call_alone(processes: PipedProcesses) -> None:
    outcomes = await asyncio.gather(
        processes.run(give_back_what_cannot_be_sent), processes.run(echo, b"a"), return_exceptions=True
    )
    assert isinstance(outcomes[0], Exception)
    assert not isinstance(outcomes[0], ProcessDiedError)
    assert outcomes[1] == b"a"


async def test_a_call_that_kills_every_process_is_the_only_one_that_fails(processes: PipedProcesses) -> None:
    calls = [processes.run(echo, b"%d" % number) for number in range(12)]
    calls.insert(5, processes.run(die))
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(outcomes.pop(5), ProcessDiedError)
    assert outcomes == [b"%d" % number for number in range(12)]


async def test_a_call_during_which_a_process_dies_once_is_done_by_another(
    processes: PipedProcesses, tmp_path: Path
) -> None:
    assert await processes.run(die_unless, tmp_path / "survived") == "survived"


async def test_an_idle_process_that_was_killed_is_replaced(processes: PipedProcesses) -> None:
    first = await processes.run(pid)
    os.kill(first, signal.SIGKILL)
    assert await gone(first)
    assert await processes.run(pid) != first


async def test_a_cancelled_call_disturbs_no_other(processes: PipedProcesses) -> None:
    calls = [asyncio.ensure_future(processes.run(echo, b"%d" % number)) for number in range(30)]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert outcomes[1::2] == [b"%d" % number for number in range(1, 30, 2)]
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[::2])


async def test_closing_ends_the_processes_and_answers_nobody(tmp_path: Path) -> None:
    processes = PipedProcesses(1, partial(prepare, tmp_path))
    process = await processes.run(pid)
    calls = [asyncio.ensure_future(processes.run(echo, b"a" * 1_000_000)) for _ in range(9)]
    await asyncio.sleep(0)
    processes.close()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    assert await gone(process)
