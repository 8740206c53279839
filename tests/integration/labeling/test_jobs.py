"""The job engine on a real database, with kinds of jobs made for these tests."""

import asyncio
import errno
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from sqlalchemy import insert, select

from sightsmith.actor import acting_as, current_actor
from sightsmith.database import Database, migrate, utc_now
from sightsmith.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    OutOfRangeError,
    UnavailableError,
)
from sightsmith.heartbeat import JobCancelledError, LeaseLostError
from sightsmith.names import ProjectName
from sightsmith.paging import PageRequest
from sightsmith.stack import Endpoints
from sightsmith_labeling.jobs.finding import Finding, Severity
from sightsmith_labeling.jobs.job import Job, JobState
from sightsmith_labeling.jobs.jobs import Jobs
from sightsmith_labeling.jobs.leases import Leases
from sightsmith_labeling.jobs.running import RunningJob
from sightsmith_labeling.jobs.upkeep import ResultUpkeep
from sightsmith_labeling.jobs.worker import JobWorker, WorkerSettings
from sightsmith_labeling.tables import MIGRATIONS, SCHEMA, LabelRow, ProjectRow

KIND = "countingJobs"
FIRST_PAGE = PageRequest(100, None)


class Counting:
    """Adds a label for each number up to `spec["to"]`, one a step, and reports each multiple of ten."""

    name: ClassVar[str] = KIND

    def __init__(self, before_step: Callable[[RunningJob, int], Awaitable[None]] | None = None) -> None:
        self._before_step = before_step

    async def run(self, job: RunningJob) -> Mapping[str, Any]:
        for number in range(job.checkpoint.get("next", 0), job.spec["to"]):
            if self._before_step is not None:
                await self._before_step(job, number)
            async with job.step({"next": number + 1}) as step:
                await step.session.execute(insert(LabelRow).values(project=job.project.project, name=f"{number:04}"))
                if number % 10 == 0:
                    step.find(Finding(Severity.WARNING, "ROUND", f"{number} is round", line=number + 1))
                step.result = {"counted": number + 1}
            await job.advance("counting", number + 1, job.spec["to"])
        return {"counted": job.spec["to"], "actor": current_actor()}


@pytest.fixture(scope="module")
async def database(servers: Endpoints) -> AsyncIterator[Database]:
    await asyncio.to_thread(migrate, servers.database_url, SCHEMA, MIGRATIONS)
    database = Database(servers.database_url)
    yield database
    await database.close()


@pytest.fixture
async def project_name(database: Database) -> ProjectName:
    name = f"p-{uuid.uuid4().hex[:12]}"
    async with database.transaction() as session:
        session.add(ProjectRow(id=name, display_name=name, create_time=utc_now()))
    return ProjectName(name)


@pytest.fixture
def jobs(database: Database) -> Jobs:
    return Jobs(database, watch_interval_seconds=0.02, watch_keepalive_seconds=0.1)


def settings(folder: Path, lease_seconds: float = 5.0) -> WorkerSettings:
    return WorkerSettings(
        concurrency=1,
        lease_seconds=lease_seconds,
        heartbeat_seconds=0.05,
        poll_seconds=0.02,
        max_attempts=2,
        folder=folder,
    )


@asynccontextmanager
async def working(worker: JobWorker) -> AsyncIterator[None]:
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def ended(jobs: Jobs, job: Job) -> Job:
    async with asyncio.timeout(20):
        async for change in jobs.watch(job.kind, str(job.name), 0):
            last = change or job
            if last.state.is_final:
                return last
    raise AssertionError("a watch ends with the job")


async def labels_of(database: Database, project: ProjectName) -> list[str]:
    async with database.transaction() as session:
        wanted = select(LabelRow.name).where(LabelRow.project == project.project).order_by(LabelRow.name)
        return list(await session.scalars(wanted))


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def numbers(to: int) -> list[str]:
    return [f"{number:04}" for number in range(to)]


async def test_a_job_runs_to_its_result(
    database: Database, jobs: Jobs, project_name: ProjectName, tmp_path: Path
) -> None:
    with acting_as("ann"):
        job = await jobs.create(project_name, KIND, {"to": 25})
    assert (job.state, job.revision, job.actor, job.progress) == (JobState.QUEUED, 1, "ann", None)
    async with working(JobWorker(database, [Counting()], settings(tmp_path))):
        done = await ended(jobs, job)
    assert done.state == JobState.SUCCEEDED
    assert done.result == {"counted": 25, "actor": "ann"}
    assert done.error is None
    assert done.start_time is not None
    assert done.end_time is not None
    assert await labels_of(database, project_name) == numbers(25)
    found, token = await jobs.findings(str(job.name), FIRST_PAGE)
    assert [finding.line for finding in found] == [1, 11, 21]
    assert token == ""
    assert files_in(tmp_path) == []


async def test_findings_come_in_pages_and_by_severity(
    database: Database, jobs: Jobs, project_name: ProjectName, tmp_path: Path
) -> None:
    job = await jobs.create(project_name, KIND, {"to": 35})
    async with working(JobWorker(database, [Counting()], settings(tmp_path))):
        await ended(jobs, job)
    first, token = await jobs.findings(str(job.name), PageRequest(3, None), Severity.WARNING, KIND)
    second, end = await jobs.findings(str(job.name), PageRequest.parse(3, token), Severity.WARNING, KIND)
    assert [finding.line for finding in [*first, *second]] == [1, 11, 21, 31]
    assert end == ""
    assert (await jobs.findings(str(job.name), FIRST_PAGE, Severity.ERROR))[0] == []


async def test_work_that_breaks_off_goes_on_after_its_last_step(
    database: Database, jobs: Jobs, project_name: ProjectName, tmp_path: Path
) -> None:
    begun: list[int] = []

    async def break_off_once(_: RunningJob, number: int) -> None:
        begun.append(number)
        if number == 12 and begun.count(12) == 1:
            raise UnavailableError("gone for now")

    job = await jobs.create(project_name, KIND, {"to": 20})
    async with working(JobWorker(database, [Counting(break_off_once)], settings(tmp_path, lease_seconds=0.2))):
        done = await ended(jobs, job)
    assert (done.state, done.attempt, done.error) == (JobState.SUCCEEDED, 2, None)
    assert begun == [*range(13), *range(12, 20)]
    assert await labels_of(database, project_name) == numbers(20)
    assert [finding.line for finding in (await jobs.findings(str(job.name), FIRST_PAGE))[0]] == [1, 11]


async def test_a_job_whose_worker_is_lost_too_often_fails(
    database: Database, jobs: Jobs, project_name: ProjectName, tmp_path: Path
) -> None:
    async def break_off(_: RunningJob, number: int) -> None:
        if number == 1:
            raise UnavailableError("gone for good")

    job = await jobs.create(project_name, KIND, {"to": 2})
    async with working(JobWorker(database, [Counting(break_off)], settings(tmp_path, lease_seconds=0.1))):
        done = await ended(jobs, job)
    assert done.state == JobState.FAILED
    assert done.error is not None
    assert (done.error.reason, done.attempt, done.result) == ("WORKER_LOST", 2, {"counted": 1})
    assert done.error.message == "the worker was lost 2 times; the last fault known: gone for good"


@pytest.mark.parametrize(
    ("fault", "reason", "message"),
    [
        (OSError(errno.ENOSPC, "No space left", "a.zip"), "OVERLOADED", "the worker's disk is full"),
        (FileNotFoundError(errno.ENOENT, "No such file", "a.zip"), "INTERNAL", "a file that the work needs is gone"),
        (PermissionError(errno.EACCES, "Permission denied", "a.zip"), "INTERNAL", "the worker may not use a file"),
    ],
)
async def test_what_would_go_wrong_again_is_not_tried_again(
    database: Database,
    jobs: Jobs,
    project_name: ProjectName,
    tmp_path: Path,
    fault: OSError,
    reason: str,
    message: str,
) -> None:
    async def stumble(_: RunningJob, number: int) -> None:
        if number == 1:
            raise fault

    job = await jobs.create(project_name, KIND, {"to": 2})
    async with working(JobWorker(database, [Counting(stumble)], settings(tmp_path))):
        done = await ended(jobs, job)
    assert done.error is not None
    assert (done.state, done.error.reason, done.attempt) == (JobState.FAILED, reason, 1)
    assert done.error.message.startswith(message)
    assert "a.zip" in done.error.message


async def test_a_job_is_cancelled_in_the_middle_and_tells_how_far_it_came(
    database: Database, jobs: Jobs, project_name: ProjectName, tmp_path: Path
) -> None:
    async def stop_at_seven(job: RunningJob, number: int) -> None:
        if number == 7:
            await jobs.cancel(KIND, job.name)
            await asyncio.sleep(30)

    job = await jobs.create(project_name, KIND, {"to": 100})
    async with working(JobWorker(database, [Counting(stop_at_seven)], settings(tmp_path))):
        done = await ended(jobs, job)
    assert (done.state, done.result) == (JobState.CANCELLED, {"counted": 7})
    assert await labels_of(database, project_name) == numbers(7)
    assert (await jobs.cancel(KIND, str(job.name))).revision == done.revision


async def test_a_job_that_waits_is_cancelled_at_once(jobs: Jobs, project_name: ProjectName) -> None:
    job = await jobs.create(project_name, KIND, {"to": 1})
    assert (await jobs.cancel(KIND, str(job.name))).state == JobState.CANCELLED


async def test_an_error_of_the_work_is_the_error_of_the_job(
    database: Database, jobs: Jobs, project_name: ProjectName, tmp_path: Path
) -> None:
    async def refuse(_: RunningJob, number: int) -> None:
        if number == 3:
            raise FailedPreconditionError("there is no fourth", metadata={"state": "odd"})

    job = await jobs.create(project_name, KIND, {"to": 5})
    async with working(JobWorker(database, [Counting(refuse)], settings(tmp_path))):
        done = await ended(jobs, job)
    assert done.error is not None
    assert (done.state, done.error.reason, done.error.message) == (
        JobState.FAILED,
        "WRONG_STATE",
        "there is no fourth",
    )
    assert (done.error.metadata, done.result) == ({"state": "odd"}, {"counted": 3})


async def test_a_fault_of_the_work_does_not_show_and_does_not_stop_the_worker(
    database: Database, jobs: Jobs, project_name: ProjectName, tmp_path: Path
) -> None:
    async def stumble(job: RunningJob, number: int) -> None:
        if job.spec["to"] == 4 and number == 3:
            raise KeyError("a secret")

    bad = await jobs.create(project_name, KIND, {"to": 4})
    good = await jobs.create(project_name, KIND, {"to": 0})
    async with working(JobWorker(database, [Counting(stumble)], settings(tmp_path))):
        failed, done = await ended(jobs, bad), await ended(jobs, good)
    assert failed.error is not None
    assert (failed.error.reason, failed.result) == ("INTERNAL", {"counted": 3})
    assert "secret" not in failed.error.message
    assert done.state == JobState.SUCCEEDED


async def test_a_worker_that_was_taken_for_dead_changes_nothing(
    database: Database, jobs: Jobs, project_name: ProjectName, tmp_path: Path
) -> None:
    leases = Leases(database, lease_seconds=0.0, max_attempts=5)
    job = await jobs.create(project_name, KIND, {"to": 1})
    old = await leases.claim([KIND])
    assert old is not None
    assert await leases.take_from_lost_workers([KIND]) == 1
    new = await leases.claim([KIND])
    assert new is not None
    running = RunningJob(old, leases, database, tmp_path)
    with pytest.raises(LeaseLostError):
        async with running.step({"next": 1}) as step:
            await step.session.execute(insert(LabelRow).values(project=project_name.project, name="stale"))
    with pytest.raises(LeaseLostError):
        await leases.succeed(old, {})
    assert await labels_of(database, project_name) == []
    await jobs.cancel(KIND, str(job.name))
    with pytest.raises(JobCancelledError):
        async with RunningJob(new, leases, database, tmp_path).step({"next": 1}):
            pass
    await leases.confirm_cancelled(new)


async def test_a_worker_that_ends_gives_its_job_back(
    database: Database, jobs: Jobs, project_name: ProjectName, tmp_path: Path
) -> None:
    reached = asyncio.Event()

    async def wait_at_five(_: RunningJob, number: int) -> None:
        if number == 5:
            reached.set()
            await asyncio.sleep(30)

    job = await jobs.create(project_name, KIND, {"to": 8})
    async with working(JobWorker(database, [Counting(wait_at_five)], settings(tmp_path))):
        await reached.wait()
    waiting = await jobs.get(KIND, str(job.name))
    assert (waiting.state, waiting.attempt, waiting.result) == (JobState.QUEUED, 0, {"counted": 5})
    async with working(JobWorker(database, [Counting()], settings(tmp_path))):
        assert (await ended(jobs, job)).state == JobState.SUCCEEDED
    assert await labels_of(database, project_name) == numbers(8)


async def test_a_repeated_request_makes_one_job(jobs: Jobs, project_name: ProjectName) -> None:
    request_id = uuid.uuid4()
    first = await jobs.create(project_name, KIND, {"to": 1}, request_id)
    assert (await jobs.create(project_name, KIND, {"to": 1}, request_id)).name == first.name
    with pytest.raises(AlreadyExistsError, match="other arguments"):
        await jobs.create(project_name, KIND, {"to": 2}, request_id)
    assert [job.name for job in (await jobs.list(KIND, project_name, FIRST_PAGE))[0]] == [first.name]
    await jobs.cancel(KIND, str(first.name))


async def test_jobs_are_listed_newest_first_and_by_kind(jobs: Jobs, project_name: ProjectName) -> None:
    made = [await jobs.create(project_name, kind, {}) for kind in ("waitingJobs", "otherJobs", "waitingJobs")]
    first, token = await jobs.list("waitingJobs", project_name, PageRequest(1, None))
    second, end = await jobs.list("waitingJobs", project_name, PageRequest.parse(1, token))
    assert [job.name for job in [*first, *second]] == [made[2].name, made[0].name]
    assert end == ""


async def test_what_is_not_there_is_said_so(jobs: Jobs, project_name: ProjectName) -> None:
    with pytest.raises(NotFoundError):
        await jobs.create(ProjectName("nowhere"), KIND, {})
    with pytest.raises(NotFoundError):
        await jobs.get(KIND, f"{project_name}/{KIND}/j-1")
    for wrong in (f"{project_name}/otherJobs/j-1", "j-1", f"{project_name}/{KIND}/J 1", ""):
        with pytest.raises(InvalidArgumentError) as caught:
            await jobs.get(KIND, wrong)
        assert [violation.field for violation in caught.value.violations] == ["name"]


async def test_a_watch_shows_that_it_lives_and_refuses_the_future(jobs: Jobs, project_name: ProjectName) -> None:
    job = await jobs.create(project_name, "waitingJobs", {})
    with pytest.raises(OutOfRangeError):
        await anext(jobs.watch(job.kind, str(job.name), 2))
    watch = jobs.watch(job.kind, str(job.name), 1)
    assert await anext(watch) is None
    await jobs.cancel(job.kind, str(job.name))
    assert [change.state for change in [seen async for seen in watch] if change] == [JobState.CANCELLED]


async def test_files_of_old_jobs_are_deleted_once(
    database: Database, jobs: Jobs, project_name: ProjectName, tmp_path: Path
) -> None:
    job = await jobs.create(project_name, KIND, {"to": 1})
    async with working(JobWorker(database, [Counting()], settings(tmp_path))):
        await ended(jobs, job)
    deleted: list[tuple[str, str]] = []

    async def delete(project: str, job_id: str) -> None:
        deleted.append((project, job_id))

    assert await ResultUpkeep(database, KIND, delete, days=1).sweep() == 0
    upkeep = ResultUpkeep(database, KIND, delete, days=0)
    await upkeep.sweep()
    assert (project_name.project, str(job.name).rpartition("/")[2]) in deleted
    assert await upkeep.sweep() == 0
