"""`sightsmith jobs` and `cancel`."""

import asyncio
from collections.abc import Callable

import pytest
from click.testing import Result
from google.rpc import code_pb2

from sightsmith_training.jobs import JobError, JobProgress, TrainingJobs
from sightsmith_training.leases import Leases
from sightsmith_training.snapshots import TrainableSnapshot

Run = Callable[..., Result]
SnapshotOf = Callable[[str], TrainableSnapshot]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


async def test_a_training_is_watched_again(
    run: Run, jobs: TrainingJobs, leases: Leases, new_project: Callable[[], str], snapshot_of: SnapshotOf
) -> None:
    project = new_project()
    id_ = (await jobs.create(project, snapshot_of(project), 0, None)).name.rpartition("/")[2]
    lease = await leases.claim()
    assert lease is not None
    doing = JobProgress(phase="searching", percent=20, best_score=0.87, remaining_seconds=310, activity="lite [3 of 9]")
    await leases.heartbeat(lease, JobProgress(phase="reading", percent=5))
    await leases.heartbeat(lease, doing)

    listed = await asyncio.to_thread(run, "jobs", project)
    assert f"projects/{project}" in listed.stdout
    for told in (id_, "running", "20 %", "0.870", "0:05:10", "comparing candidates: lite [3 of 9]"):
        assert told in listed.stdout

    watching = asyncio.create_task(asyncio.to_thread(run, "jobs", "watch", project, id_))
    await asyncio.sleep(0.5)
    await leases.heartbeat(lease, JobProgress(phase="exporting", percent=90, best_score=0.9))
    await leases.fail(lease, JobError(code=code_pb2.FAILED_PRECONDITION, reason="TOO_FEW", message="too few images"))
    watched = await watching
    assert watched.exit_code == 1
    assert watched.stderr.splitlines() == [
        "comparing candidates: 20 %, lite [3 of 9], best 0.870, 0:05:10 left",
        "exporting: 90 %, best 0.900",
        "error: too few images [TOO_FEW]",
    ]
    again = await asyncio.to_thread(run, "jobs", "watch", project, f"projects/{project}/trainingJobs/{id_}")
    assert "error: too few images [TOO_FEW]" in again.stderr
    assert "too few images" in (await asyncio.to_thread(run, "jobs", project)).stdout
    cancelled = await asyncio.to_thread(run, "cancel", project, id_)
    assert cancelled.exit_code == 1
    assert f"there is nothing to stop: projects/{project}/trainingJobs/{id_} is over, it failed" in cancelled.stderr


@pytest.mark.parametrize(
    ("job", "told"),
    [
        ("j-none", "projects/{}/trainingJobs/j-none does not exist"),
        ("evaluationJobs/j-none", "projects/{}/evaluationJobs/j-none does not exist"),
        ("exportJobs/j-1", "must be of the kind trainingJobs, evaluationJobs, importJobs, not 'exportJobs'"),
        ("projects/other/trainingJobs/j-1", "must be the id of a job of {}, or KIND/ID"),
        ("trainingJobs/../models", "must be the id of a job of {}, or KIND/ID"),
        ("J", "must be 1 to 63 lower-case letters"),
    ],
)
def test_what_is_no_job_of_the_project_is_refused(
    run: Run, new_project: Callable[[], str], job: str, told: str
) -> None:
    project = new_project()
    done = run("jobs", "watch", project, job)
    assert done.exit_code == 1
    assert told.format(project) in done.stderr
