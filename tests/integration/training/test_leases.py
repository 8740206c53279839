"""Which worker has which job, and what happens when a worker is lost."""

import asyncio
from collections.abc import Callable

import pytest

from sightsmith.database import Database
from sightsmith.names import TrainingJobName
from sightsmith_training.jobs import JobError, JobState, TrainingJobs
from sightsmith_training.leases import Lease, LeaseLostError, Leases
from sightsmith_training.snapshots import TrainableSnapshot

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


async def test_a_job_given_back_waits_again_and_does_not_count_as_an_attempt(leases: Leases, lease: Lease) -> None:
    await leases.give_back(lease)
    again = await leases.claim()
    assert again is not None
    assert (again.name, again.attempt) == (lease.name, 1)


async def test_a_live_worker_keeps_its_job(leases: Leases, lease: Lease) -> None:
    assert await leases.take_from_lost_workers() == 0
    assert not await leases.heartbeat(lease, None)


async def test_a_job_keeps_its_model_number(leases: Leases, lease: Lease) -> None:
    numbers = [await leases.reserve_model_number(lease) for _ in range(3)]
    assert numbers == [1, 1, 1]
