"""A job is cancelled within five seconds of being asked to, whatever its worker is at."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
from obstore.store import S3Store

from sightsmith.database import Database
from sightsmith.heartbeat import JobCancelledError
from sightsmith.names import TrainingJobName
from sightsmith.objects import Objects
from sightsmith.output_places import OutputPlaces
from sightsmith.settings import Settings
from sightsmith_training.job_worker import JobHeartbeat
from sightsmith_training.jobs import JobState, TrainingJobs
from sightsmith_training.leases import Leases
from sightsmith_training.publishing import Publisher
from sightsmith_training.report_outputs import ReportOutputs
from sightsmith_training.report_publishing import ReportPublishing
from sightsmith_training.settings import TrainingSettings
from sightsmith_training.training_process import TrainingProcess
from sightsmith_training.worker import Worker
from tests.integration.training.finished_training import Workshop
from tests.integration.training.judged_answers import one_label

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


async def test_a_model_that_is_being_stored_comes_to_nothing(
    jobs: TrainingJobs, leases: Leases, workshop: Workshop, settings: TrainingSettings, project: str
) -> None:
    """By an object store that takes every connection and never answers."""
    answers = one_label(1, images=6)
    entries = await workshop._entries(answers.images)
    job = await jobs.create(project, await workshop._snapshot(project, entries), 0, None)
    lease = await leases.claim()
    assert lease is not None
    with socket.create_server(("127.0.0.1", 0)) as server:
        reports = ReportPublishing(
            workshop.objects, ReportOutputs(OutputPlaces((), settings.object_store_url), timeout_seconds=10), 10
        )
        publisher = Publisher(workshop.database, silent_store(server.getsockname()[1]), leases, reports)
        result, spec = workshop._result(answers, entries), workshop._spec(entries, lease.options)
        publishing = asyncio.create_task(
            JobHeartbeat(leases, lease, settings).beside(publisher.publish(lease, result, spec))
        )
        await asyncio.to_thread(server.accept)
        began = time.monotonic()
        await jobs.cancel(TrainingJobName.parse(job.name))
        with pytest.raises(JobCancelledError):
            await publishing
    assert time.monotonic() - began < _SECONDS


def silent_store(port: int) -> Objects:
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "aws_region": "x"}
    options = {"allow_http": True}
    return Objects(S3Store("bucket", endpoint=f"http://127.0.0.1:{port}", client_options=options, **keys))
