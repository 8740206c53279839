"""What is left in the object store of a job that has ended: its model, if it made one."""

import errno
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, update

from sightsmith.database import Database, utc_now
from sightsmith.names import ModelName
from sightsmith.objects import Objects
from sightsmith.settings import Settings
from sightsmith_training.discarded_files import DiscardedFiles
from sightsmith_training.jobs import JobError, JobState, TrainingJobs
from sightsmith_training.leases import Lease, Leases
from sightsmith_training.leftovers import checkpoint_prefix, model_prefix
from sightsmith_training.models import Models, model_id
from sightsmith_training.settings import TrainingSettings
from sightsmith_training.snapshots import TrainableSnapshot
from sightsmith_training.tables import DiscardedFileRow
from sightsmith_training.worker import Worker
from tests.integration.training.finished_training import Workshop
from tests.integration.training.judged_answers import one_label

SnapshotOf = Callable[[str], TrainableSnapshot]


@pytest.fixture
async def lease(jobs: TrainingJobs, leases: Leases, project: str, snapshot_of: SnapshotOf) -> Lease:
    """A claimed job."""
    await jobs.create(project, snapshot_of(project), 0, None)
    lease = await leases.claim()
    assert lease is not None
    return lease


async def end_failed(_: TrainingJobs, leases: Leases, lease: Lease, __: Database) -> None:
    await leases.fail(lease, JobError(reason="TRAINING_FAILED", message="on purpose"))


async def end_cancelled(jobs: TrainingJobs, leases: Leases, lease: Lease, _: Database) -> None:
    await jobs.cancel(lease.name)
    await leases.confirm_cancelled(lease)


async def end_cancelled_while_waiting(jobs: TrainingJobs, leases: Leases, lease: Lease, _: Database) -> None:
    await leases.give_back(lease)
    await jobs.cancel(lease.name)


async def end_cancelled_after_loss(jobs: TrainingJobs, leases: Leases, lease: Lease, database: Database) -> None:
    await jobs.cancel(lease.name)
    await end_lost(jobs, leases, lease, database)


async def end_lost(_: TrainingJobs, __: Leases, lease: Lease, database: Database) -> None:
    hasty = Leases(database, lease_seconds=-1, max_attempts=1)
    await hasty.heartbeat(lease, None)
    assert await hasty.take_from_lost_workers() == 1


@pytest.mark.parametrize(
    "end", [end_failed, end_cancelled, end_cancelled_while_waiting, end_cancelled_after_loss, end_lost]
)
async def test_however_a_job_ends_without_a_model_its_files_go(
    end: Callable[..., object],
    jobs: TrainingJobs,
    leases: Leases,
    lease: Lease,
    database: Database,
    objects: Objects,
) -> None:
    number = await leases.reserve_model_number(lease)
    mine = [model_prefix(ModelName(lease.name.project, model_id(number))), checkpoint_prefix(lease.name)]
    others = [f"{mine[0]}9", f"{mine[1]}9"]
    for prefix in (*mine, *others):
        await objects.put(f"{prefix}/onnx/1/model.onnx", b"half of it")
    files = DiscardedFiles(database, objects)
    await files.sweep()
    assert [len(await objects.keys_below(prefix)) for prefix in (*mine, *others)] == [1, 1, 1, 1], "it still runs"
    await end(jobs, leases, lease, database)  # type: ignore[misc]
    assert (await jobs.get(lease.name)).state.is_final
    await files.sweep()
    assert [len(await objects.keys_below(prefix)) for prefix in (*mine, *others)] == [0, 0, 1, 1]


async def test_what_a_worker_stores_that_was_taken_for_dead_goes_too(
    jobs: TrainingJobs, leases: Leases, lease: Lease, database: Database, objects: Objects
) -> None:
    prefix = checkpoint_prefix(lease.name)
    files = DiscardedFiles(database, objects, late_seconds=3600)
    await end_failed(jobs, leases, lease, database)
    for age, is_noted_still in ((30, True), (3700, False)):
        await objects.put(f"{prefix}/late.npz", b"of a worker that was taken for dead")
        async with database.transaction() as session:
            past = func.now() - timedelta(seconds=age)
            await session.execute(update(DiscardedFileRow).values(note_time=past, sweep_time=past))
        await files.sweep()
        assert await objects.keys_below(prefix) == []
        async with database.transaction() as session:
            row = await session.get(DiscardedFileRow, f"{prefix}/")
            assert (row is not None) == is_noted_still
            assert row is None or 25 < (row.sweep_time - utc_now()).total_seconds() < 60, "as long again"


async def test_of_a_model_that_came_to_be_only_what_an_earlier_attempt_stored_goes(
    workshop: Workshop, database: Database, objects: Objects, project: str
) -> None:
    prefix = model_prefix(ModelName(project, "v1"))
    await objects.put(f"{prefix}/{project}.v1.onnx.0123/1/model.onnx", b"of an attempt that was lost")
    published = await workshop.publish(project, one_label(1))
    model = await Models(database).get(published.name)
    needed = sorted(file.key for file in (*model.artifacts, *model.report_files))
    assert len(await objects.keys_below(prefix)) == len(needed) + 1
    await DiscardedFiles(database, objects).sweep()
    assert sorted(await objects.keys_below(prefix)) == needed


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
