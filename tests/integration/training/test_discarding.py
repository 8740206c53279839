"""What is left of a model that did not come to be: nothing."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from sightsmith.database import Database
from sightsmith.objects import Objects
from sightsmith.settings import Settings
from sightsmith_training.jobs import JobError, JobState, TrainingJobs
from sightsmith_training.leases import Lease, LeaseLostError, Leases
from sightsmith_training.output_places import OutputPlaces
from sightsmith_training.publishing import Publisher
from sightsmith_training.report_outputs import ReportOutputs
from sightsmith_training.report_publishing import ReportPublishing
from sightsmith_training.settings import TrainingSettings
from sightsmith_training.snapshots import TrainableSnapshot
from sightsmith_training.worker import Worker

SnapshotOf = Callable[[str], TrainableSnapshot]


@pytest.fixture
async def lease(jobs: TrainingJobs, leases: Leases, project: str, snapshot_of: SnapshotOf) -> Lease:
    """A claimed job."""
    await jobs.create(project, snapshot_of(project), 0, None)
    lease = await leases.claim()
    assert lease is not None
    return lease


@pytest.fixture
def publisher(database: Database, objects: Objects, leases: Leases, server_settings: Settings) -> Publisher:
    outputs = ReportOutputs(OutputPlaces([], server_settings.object_store_url), timeout_seconds=10)
    return Publisher(database, objects, leases, ReportPublishing(objects, outputs, 0))


async def test_files_of_a_model_that_does_not_come_to_be_are_deleted(
    publisher: Publisher, leases: Leases, lease: Lease, objects: Objects
) -> None:
    await publisher.discard(lease)
    number = await leases.reserve_model_number(lease)
    mine, others = (f"models/{lease.name.project}/v{each}" for each in (number, number + 9))
    for prefix in (mine, others):
        await objects.put(f"{prefix}/onnx/1/model.onnx", b"half of it")
    await publisher.discard(lease)
    assert await objects.keys(f"{mine}/onnx/1") == []
    assert await objects.keys(f"{others}/onnx/1") == [f"{others}/onnx/1/model.onnx"]
    await leases.fail(lease, JobError(reason="TRAINING_FAILED", message="on purpose"))
    with pytest.raises(LeaseLostError):
        await publisher.discard(lease)


@pytest.fixture
def worker(server_settings: Settings, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Worker:
    """A worker whose folder is on a disk that is full."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    settings = TrainingSettings(**dict(server_settings), work_dir=tmp_path / "work", spare_process=False)
    monkeypatch.setattr(Path, "mkdir", refuse)
    return Worker(settings, database)


async def test_a_full_disk_of_the_worker_fails_the_job_at_once(
    worker: Worker, jobs: TrainingJobs, lease: Lease
) -> None:
    await worker._work_on(lease)
    job = await jobs.get(lease.name)
    assert (job.state, job.error.reason if job.error else "") == (JobState.FAILED, "DISK_FULL")
