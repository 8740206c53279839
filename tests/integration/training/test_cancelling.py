"""A job is cancelled within five seconds of being asked to, whatever its worker is at."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
from obstore.store import S3Store
from sqlalchemy import text

from sightsmith.database import Database
from sightsmith.heartbeat import JobCancelledError
from sightsmith.names import TrainingJobName
from sightsmith.objects import Objects
from sightsmith.output_places import OutputPlaces
from sightsmith.settings import Settings
from sightsmith_training.job_worker import JobHeartbeat
from sightsmith_training.jobs import JobState, TrainingJobs
from sightsmith_training.leases import Lease, Leases
from sightsmith_training.publishing import Publisher
from sightsmith_training.report_outputs import ReportOutputs
from sightsmith_training.report_publishing import ReportPublishing
from sightsmith_training.settings import TrainingSettings
from sightsmith_training.training_process import TrainingProcess
from sightsmith_training.worker import Worker
from tests.integration.training.finished_training import Workshop
from tests.integration.training.judged_answers import one_label
from tests.integration.training.trained_model import Answers

_SECONDS = 5.0
# Starts a child that would outlive it, as a library may.
_PARENT = "import subprocess; print(subprocess.Popen(['sleep', '600']).pid, flush=True); input()"


@pytest.fixture
def settings(server_settings: Settings, tmp_path: Path) -> TrainingSettings:
    return TrainingSettings(**dict(server_settings), work_dir=tmp_path / "work", spare_process=False, poll_seconds=0.1)


@asynccontextmanager
async def at_work(worker: Worker) -> AsyncIterator[None]:
    task = asyncio.create_task(worker.run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def seconds_to_cancel(jobs: TrainingJobs, name: TrainingJobName) -> float:
    began = time.monotonic()
    await jobs.cancel(name)
    async with asyncio.timeout(60):
        while (await jobs.get(name)).state != JobState.CANCELLED:
            await asyncio.sleep(0.05)
    return time.monotonic() - began


def engines() -> list[int]:
    """The engines that this process has started."""
    return [
        int(task)
        for tasks in Path("/proc/self/task").glob("*/children")
        for task in tasks.read_text().split()
        if b"sightsmith_training.engine" in Path(f"/proc/{task}/cmdline").read_bytes()
    ]


def is_at_work(process: int) -> bool:
    """Whether it has not ended; nobody may have noticed yet that one has whose parent is gone."""
    status = Path(f"/proc/{process}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


async def test_an_engine_that_answers_to_nothing_is_ended(
    jobs: TrainingJobs, workshop: Workshop, database: Database, settings: TrainingSettings, project: str
) -> None:
    """The worst that any training may do, and what happens in it: none of its threads goes on."""
    snapshot = await workshop._snapshot(project, await workshop._entries(one_label(1, images=40).images))
    job = await jobs.create(project, snapshot, 0, None)
    async with at_work(Worker(settings, database)):
        async with asyncio.timeout(60):
            while not (started := engines()):
                await asyncio.sleep(0.05)
        os.kill(started[0], signal.SIGSTOP)
        assert await seconds_to_cancel(jobs, TrainingJobName.parse(job.name)) < _SECONDS
    assert engines() == []
    assert list(settings.work_dir.iterdir()) == []


async def test_what_an_engine_has_started_ends_with_it(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        *("python3", "-c", _PARENT),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    await TrainingProcess(parent, tmp_path, ExitStack()).close()
    async with asyncio.timeout(5):
        while is_at_work(child):
            await asyncio.sleep(0.02)


@pytest.fixture
async def lease(
    jobs: TrainingJobs, leases: Leases, workshop: Workshop, project: str, answers: Answers
) -> AsyncIterator[Lease]:
    """Of a job that a worker is about to publish."""
    snapshot = await workshop._snapshot(project, await workshop._entries(answers.images))
    await jobs.create(project, snapshot, 0, None)
    lease = await leases.claim()
    assert lease is not None
    yield lease
    await leases.confirm_cancelled(lease)


@pytest.fixture
def answers() -> Answers:
    return one_label(1, images=6)


async def seconds_to_stop(
    publishing: asyncio.Task[object], until: Awaitable[object], jobs: TrainingJobs, lease: Lease
) -> float:
    """How long publishing goes on after it was asked to stop, at a moment in the midst of it."""
    await asyncio.wait([publishing, asyncio.ensure_future(until)], return_when=asyncio.FIRST_COMPLETED)
    began = time.monotonic()
    await jobs.cancel(lease.name)
    with pytest.raises(JobCancelledError):
        await publishing
    return time.monotonic() - began


async def test_a_model_that_is_being_stored_comes_to_nothing(
    jobs: TrainingJobs, leases: Leases, lease: Lease, workshop: Workshop, settings: TrainingSettings, answers: Answers
) -> None:
    """By an object store that takes every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        store = silent_store(server.getsockname()[1])
        publishing = await publishes(workshop, store, leases, lease, settings, answers)
        connected = asyncio.to_thread(server.accept)
        assert await seconds_to_stop(publishing, connected, jobs, lease) < _SECONDS


async def test_a_model_whose_images_are_being_written_comes_to_nothing(
    jobs: TrainingJobs, leases: Leases, lease: Lease, workshop: Workshop, settings: TrainingSettings, answers: Answers
) -> None:
    """However long that takes: neither who cancels the job nor its heartbeat waits for it."""
    async with workshop.database.transaction() as session:
        await session.execute(text("LOCK TABLE training.evaluated_images IN EXCLUSIVE MODE"))
        publishing = await publishes(workshop, workshop.objects, leases, lease, settings, answers)
        assert await seconds_to_stop(publishing, somebody_waits(workshop.database), jobs, lease) < _SECONDS


async def publishes(
    workshop: Workshop, store: Objects, leases: Leases, lease: Lease, settings: TrainingSettings, answers: Answers
) -> asyncio.Task[object]:
    """The publishing of a training, beside a heart that beats."""
    entries = await workshop._entries(answers.images)
    outputs = ReportOutputs(OutputPlaces((), settings.object_store_url), timeout_seconds=10)
    publisher = Publisher(workshop.database, store, leases, ReportPublishing(workshop.objects, outputs, 10))
    result, spec = workshop._result(answers, entries), workshop._spec(entries, lease.options)
    beat = JobHeartbeat(leases, lease, settings)
    return asyncio.create_task(beat.beside(publisher.publish(lease, result, spec)))


async def somebody_waits(database: Database) -> None:
    """Until a transaction waits for another one's lock."""
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'"
    while True:
        async with database.transaction() as session:
            if await session.scalar(text(waiting)):
                return
        await asyncio.sleep(0.05)


def silent_store(port: int) -> Objects:
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "aws_region": "x"}
    options = {"allow_http": True}
    return Objects(S3Store("bucket", endpoint=f"http://127.0.0.1:{port}", client_options=options, **keys))
