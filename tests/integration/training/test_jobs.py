"""Creating, listing, cancelling and watching training jobs."""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import replace

import pytest

from sightsmith.client import Client
from sightsmith.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError, OutOfRangeError
from sightsmith.names import TrainingJobName
from sightsmith.paging import PageRequest
from sightsmith_training.engine.evaluation_result import Advice
from sightsmith_training.jobs import JobProgress, JobState, TrainingJob, TrainingJobs
from sightsmith_training.leases import Leases
from sightsmith_training.snapshots import TrainableSnapshot
from tests.integration.training.finished_training import Workshop
from tests.integration.training.judged_answers import one_label

SnapshotOf = Callable[[str], TrainableSnapshot]


def name_of(job: TrainingJob) -> TrainingJobName:
    return TrainingJobName.parse(job.name)


async def test_a_job_waits_until_it_is_claimed(jobs: TrainingJobs, project: str, snapshot_of: SnapshotOf) -> None:
    created = await jobs.create(project, snapshot_of(project), 7, None)
    found = await jobs.get(name_of(created))
    assert found == created
    assert (found.state, found.seed, found.revision, found.attempt) == (JobState.QUEUED, 7, 1, 0)


async def test_a_job_tells_how_long_it_took_and_that_its_budget_was_exceeded(
    client: Client, workshop: Workshop, project: str
) -> None:
    answers = one_label(1)
    assert answers.evaluation is not None
    late = Advice(code="BUDGET_EXCEEDED", text="The training took 90 s where its budget is 60 s.")
    evaluation = answers.evaluation.model_copy(update={"advice": [*answers.evaluation.advice, late]})
    model = await workshop.publish(project, replace(answers, evaluation=evaluation))
    job = client.training_job(str(model.training_job))
    assert list(job.notes) == [late.text]
    assert 0 < job.work_duration.ToTimedelta().total_seconds() < 60


async def test_a_request_sent_twice_makes_one_job(jobs: TrainingJobs, project: str, snapshot_of: SnapshotOf) -> None:
    request_id = uuid.uuid4()
    answers = await asyncio.gather(*(jobs.create(project, snapshot_of(project), 0, request_id) for _ in range(5)))
    assert len({job.name for job in answers}) == 1
    listed, _ = await jobs.page(project, PageRequest.parse(0, ""))
    assert len(listed) == 1


async def test_a_request_id_stands_for_one_request(jobs: TrainingJobs, project: str, snapshot_of: SnapshotOf) -> None:
    request_id = uuid.uuid4()
    await jobs.create(project, snapshot_of(project), 0, request_id)
    with pytest.raises(AlreadyExistsError) as raised:
        await jobs.create(project, snapshot_of(project), 1, request_id)
    assert raised.value.reason == "REQUEST_ID_REUSED"


async def test_jobs_are_listed_newest_first_by_pages(jobs: TrainingJobs, project: str, snapshot_of: SnapshotOf) -> None:
    created = [await jobs.create(project, snapshot_of(project), seed, None) for seed in range(5)]
    seen: list[str] = []
    token = ""
    while True:
        page, token = await jobs.page(project, PageRequest.parse(2, token))
        seen += [job.name for job in page]
        if not token:
            break
    assert seen == [job.name for job in reversed(created)]


async def test_a_token_of_another_list_is_refused(jobs: TrainingJobs, project: str) -> None:
    with pytest.raises(InvalidArgumentError, match="page_token"):
        PageRequest.parse(2, "nonsense")
    foreign = PageRequest(2, "a-name")
    with pytest.raises(InvalidArgumentError, match="page_token"):
        await jobs.page(project, foreign)


async def test_an_unknown_job_is_not_found(jobs: TrainingJobs, project: str) -> None:
    with pytest.raises(NotFoundError, match=f"projects/{project}/trainingJobs/none"):
        await jobs.get(TrainingJobName(project, "none"))


async def test_a_waiting_job_is_cancelled_at_once(jobs: TrainingJobs, project: str, snapshot_of: SnapshotOf) -> None:
    job = await jobs.create(project, snapshot_of(project), 0, None)
    cancelled = await jobs.cancel(name_of(job))
    assert cancelled.state == JobState.CANCELLED
    assert cancelled.end_time is not None
    assert await jobs.cancel(name_of(job)) == cancelled


async def test_a_watch_sends_every_change_and_ends_with_the_job(
    jobs: TrainingJobs, leases: Leases, project: str, snapshot_of: SnapshotOf
) -> None:
    job = await jobs.create(project, snapshot_of(project), 0, None)
    lease = await leases.claim()
    assert lease is not None
    for percent in (10, 50, 90):
        await leases.heartbeat(lease, JobProgress(phase="embedding", percent=percent, best_score=0.5))
    await jobs.cancel(name_of(job))
    assert await leases.heartbeat(lease, None)
    await leases.confirm_cancelled(lease)

    changes = [change async for change in jobs.watch(name_of(job), 0) if change]
    assert [change.revision for change in changes] == [1, 2, 3, 4, 5, 6, 7]
    assert [change.progress.percent for change in changes[2:5] if change.progress] == [10, 50, 90]
    assert [change.state for change in changes[5:]] == [JobState.CANCELLING, JobState.CANCELLED]

    resumed = [change async for change in jobs.watch(name_of(job), 4) if change]
    assert resumed == changes[4:]
    assert [change async for change in jobs.watch(name_of(job), 7)] == []


async def test_a_watch_sees_changes_as_they_come(jobs: TrainingJobs, project: str, snapshot_of: SnapshotOf) -> None:
    job = await jobs.create(project, snapshot_of(project), 0, None)

    async def collect() -> list[JobState]:
        return [change.state async for change in jobs.watch(name_of(job), 0) if change]

    watching = asyncio.create_task(collect())
    await asyncio.sleep(0.2)
    await jobs.cancel(name_of(job))
    assert await asyncio.wait_for(watching, 5) == [JobState.QUEUED, JobState.CANCELLED]


async def test_a_watch_cannot_start_in_the_future(jobs: TrainingJobs, project: str, snapshot_of: SnapshotOf) -> None:
    job = await jobs.create(project, snapshot_of(project), 0, None)
    with pytest.raises(OutOfRangeError) as raised:
        await anext(jobs.watch(name_of(job), 99))
    assert raised.value.metadata == {"revision": "1"}
