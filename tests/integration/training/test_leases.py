"""Which worker has which job, and what happens when a worker is lost."""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from sightsmith.database import Database, utc_now
from sightsmith.heartbeat import LeaseLostError
from sightsmith.names import TrainingJobName
from sightsmith.settings import Settings
from sightsmith_training.jobs import JobError, JobProgress, JobState, TrainingJobs
from sightsmith_training.leases import JobLease, JobLeases, Lease, Leases
from sightsmith_training.settings import TrainingSettings
from sightsmith_training.snapshots import TrainableSnapshot
from sightsmith_training.tables import JobRow
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
def hasty(database: Database) -> Leases:
    """Leases that expire as soon as they are given."""
    return Leases(database, lease_seconds=-1, max_attempts=2)


async def state_of(jobs: TrainingJobs, name: TrainingJobName) -> JobState:
    return (await jobs.get(name)).state


async def test_the_oldest_job_is_claimed_first_and_only_once(
    jobs: TrainingJobs, leases: Leases, project: str, snapshot_of: SnapshotOf
) -> None:
    created = [await jobs.create(project, snapshot_of(project), seed, None) for seed in range(3)]
    claimed = await asyncio.gather(*(leases.claim() for _ in range(6)))
    names = [str(lease.name) for lease in claimed if lease]
    assert sorted(names) == sorted(job.name for job in created)
    assert await leases.claim() is None


async def test_a_lost_worker_s_job_goes_on_with_another(
    jobs: TrainingJobs, leases: Leases, hasty: Leases, lease: Lease
) -> None:
    await hasty.heartbeat(lease, None)
    assert await leases.take_from_lost_workers() == 1
    assert await state_of(jobs, lease.name) == JobState.QUEUED
    second = await leases.claim()
    assert second is not None
    assert (second.name, second.attempt) == (lease.name, 2)


async def test_a_worker_that_comes_back_too_late_changes_nothing(
    jobs: TrainingJobs, leases: Leases, hasty: Leases, lease: Lease
) -> None:
    await hasty.heartbeat(lease, None)
    await leases.take_from_lost_workers()
    for late in (
        leases.heartbeat(lease, None),
        leases.fail(lease, JobError(reason="TRAINING_FAILED", message="late")),
        leases.confirm_cancelled(lease),
        leases.give_back(lease),
        leases.reserve_model_number(lease),
    ):
        with pytest.raises(LeaseLostError):
            await late
    assert await state_of(jobs, lease.name) == JobState.QUEUED


async def test_a_job_whose_workers_keep_getting_lost_fails(
    jobs: TrainingJobs, leases: Leases, hasty: Leases, lease: Lease
) -> None:
    await hasty.heartbeat(lease, None)
    await leases.take_from_lost_workers()
    second = await leases.claim()
    assert second is not None
    await hasty.heartbeat(second, None)
    await leases.take_from_lost_workers()
    job = await jobs.get(lease.name)
    assert job.state == JobState.FAILED
    assert job.error is not None
    assert job.error.reason == "WORKER_LOST"


async def test_a_lost_worker_s_job_that_was_to_be_cancelled_is(
    jobs: TrainingJobs, leases: Leases, hasty: Leases, lease: Lease
) -> None:
    await jobs.cancel(lease.name)
    await hasty.heartbeat(lease, None)
    await leases.take_from_lost_workers()
    assert await state_of(jobs, lease.name) == JobState.CANCELLED


async def test_jobs_of_workers_known_to_be_dead_go_on_before_younger_ones(
    jobs: TrainingJobs, leases: Leases, lease: Lease, project: str, snapshot_of: SnapshotOf, database: Database
) -> None:
    await leases.heartbeat(lease, JobProgress(phase="searching", percent=40, remaining_seconds=60, metrics={"loss": 1}))
    younger = await jobs.create(project, snapshot_of(project), 1, None)
    of_all_kinds = JobLeases[JobLease, JobRow](database, JobRow, lease_seconds=30, max_attempts=2)
    assert await of_all_kinds.take_from_dead_workers([]) == 0
    assert await of_all_kinds.take_from_dead_workers([lease.token, uuid.uuid4()]) == 1
    waiting = await jobs.get(lease.name)
    assert waiting.state == JobState.QUEUED
    told = JobProgress(phase="searching", percent=40, activity="interrupted, waits to go on")
    assert waiting.progress == told
    again, next_one = await leases.claim(), await leases.claim()
    assert again is not None
    assert next_one is not None
    assert (again.name, again.attempt, str(next_one.name)) == (lease.name, 2, younger.name)
    assert (await jobs.get(lease.name)).progress is None


async def test_the_time_of_all_attempts_is_counted(leases: Leases, lease: Lease) -> None:
    await leases.heartbeat(replace(lease, since=lease.since - 100), None)
    await leases.take_from_dead_workers([lease.token])
    again = await leases.claim()
    assert again is not None
    assert 100 <= again.seconds_before < 110
    await leases.give_back(replace(again, since=again.since - 50))
    last = await leases.claim()
    assert last is not None
    assert 150 <= last.worked_seconds < 170


async def test_a_job_given_back_waits_again_and_does_not_count_as_an_attempt(leases: Leases, lease: Lease) -> None:
    await leases.give_back(lease)
    again = await leases.claim()
    assert again is not None
    assert (again.name, again.attempt) == (lease.name, 1)


async def pauses_over(database: Database) -> None:
    async with database.transaction() as session:
        await session.execute(update(JobRow).values(retry_time=utc_now() - timedelta(seconds=1)))


async def test_a_job_waits_ever_longer_for_what_is_away_and_fails_in_the_end(
    jobs: TrainingJobs, leases: Leases, lease: Lease, database: Database
) -> None:
    error = JobError(reason="DEPENDENCY_UNAVAILABLE", message="the store is away", metadata={"service": "store"})
    waited = []
    while await leases.set_aside(lease, error, max_paused_seconds=150):
        assert await leases.claim() is None
        async with database.transaction() as session:
            row = (await session.scalars(select(JobRow).where(JobRow.sequence == lease.sequence))).one()
            waited.append(row.paused_seconds)
        assert row.retry_time is not None
        assert row.retry_time > utc_now()
        await pauses_over(database)
        again = await leases.claim()
        assert again is not None
        assert again.attempt == 1
        lease = again
    assert waited == [5, 10, 20, 40, 80, 140, 150]
    job = await jobs.get(lease.name)
    assert (job.state, job.error) == (JobState.FAILED, error)


async def test_a_job_that_comes_further_between_outages_may_have_many_of_them(
    jobs: TrainingJobs, leases: Leases, lease: Lease, database: Database
) -> None:
    error, waited = JobError(reason="DEPENDENCY_UNAVAILABLE", message="the store is away"), []
    for percent in (0.0, 30.0, 60.0, 20.0, 60.0, 61.0):
        await leases.heartbeat(lease, JobProgress(phase="searching", percent=percent))
        assert await leases.set_aside(lease, error, max_paused_seconds=30)
        async with database.transaction() as session:
            query = select(JobRow.paused_seconds).where(JobRow.sequence == lease.sequence)
            waited.append(await session.scalar(query))
        await pauses_over(database)
        again = await leases.claim()
        assert again is not None
        lease = again
    assert waited == [5, 5, 5, 10, 20, 5]


async def test_a_job_that_is_to_be_cancelled_does_not_wait(jobs: TrainingJobs, leases: Leases, lease: Lease) -> None:
    await jobs.cancel(lease.name)
    error = JobError(reason="DEPENDENCY_UNAVAILABLE", message="the store is away")
    assert not await leases.set_aside(lease, error, max_paused_seconds=0)
    assert await state_of(jobs, lease.name) == JobState.CANCELLED


async def test_a_worker_whose_object_store_is_away_sets_the_job_aside(
    jobs: TrainingJobs, lease: Lease, database: Database, server_settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "store").mkdir()
    values = {
        **dict(server_settings),
        "object_store_url": (tmp_path / "store").as_uri(),
        "work_dir": tmp_path / "work",
        "spare_process": False,
    }
    workers = [Worker(TrainingSettings(**values, max_outage_seconds=seconds), database) for seconds in (5, 0)]
    # A folder that is a file answers nothing.
    (tmp_path / "store").rmdir()
    (tmp_path / "store").touch()
    await workers[0]._work_on(lease)
    job = await jobs.get(lease.name)
    assert (job.state, job.attempt) == (JobState.QUEUED, 0)
    await pauses_over(database)
    again = await Leases(database, lease_seconds=30, max_attempts=2).claim()
    assert again is not None
    await workers[1]._work_on(again)
    job = await jobs.get(lease.name)
    assert job.state == JobState.FAILED
    assert job.error is not None
    assert (job.error.reason, job.error.metadata) == ("DEPENDENCY_UNAVAILABLE", {"service": "object store"})
    assert str(tmp_path) not in job.error.message


async def test_a_live_worker_keeps_its_job(leases: Leases, lease: Lease) -> None:
    assert await leases.take_from_lost_workers() == 0
    assert not await leases.heartbeat(lease, None)


async def test_a_job_keeps_its_model_number(leases: Leases, lease: Lease) -> None:
    numbers = [await leases.reserve_model_number(lease) for _ in range(3)]
    assert numbers == [1, 1, 1]
