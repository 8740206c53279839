"""When a deployment's model is trained anew by itself, and what is written down of it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from sightsmith.api.events.v1.event_pb2 import Event, ReviewItemSettled
from sightsmith.database import Database, migrate
from sightsmith.errors import NotFoundError
from sightsmith.names import DeploymentName, RetrainingName
from sightsmith.paging import PageRequest
from sightsmith.stack import Endpoints
from sightsmith_training.retraining.retraining import Retraining, RetrainingPolicy, RetrainingState
from sightsmith_training.retraining.retrainings import Retrainings, on_review_item_settled
from sightsmith_training.tables import MIGRATIONS, SCHEMA, RetrainingRow, TrainingJobRow
from tests.integration.labeling.conftest import make_database
from tests.integration.training.judged_answers import one_label
from tests.integration.training.neighbours import Neighbours
from tests.integration.training.trained_model import Answers

POOR, GOOD = one_label(1, images=200, skill=0.8), one_label(2, images=200, skill=4.0)


class Corrected:
    """A deployment whose predictions people look at."""

    def __init__(self, database: Database, project: str) -> None:
        self._database = database
        self.retrainings = Retrainings(database)
        self.name = DeploymentName(project, "live")

    async def review(self, model: str, *, corrected: bool = True) -> None:
        settled = ReviewItemSettled(deployment=str(self.name), model=model, corrected=corrected)
        async with self._database.transaction() as session:
            await on_review_item_settled(session, Event(review_item_settled=settled))

    async def begun(self) -> list[Retraining]:
        found, _ = await self.retrainings.page(self.name.project, PageRequest.parse(0, ""))
        return list(found)


@pytest.fixture(scope="module")
async def quiet_database(servers: Endpoints) -> AsyncIterator[Database]:
    """One in which no training server brings retrainings on."""
    url = make_database(servers)
    await asyncio.to_thread(migrate, url, SCHEMA, MIGRATIONS)
    database = Database(url)
    yield database
    await database.close()


@pytest.fixture
def corrected(quiet_database: Database, project: str) -> Corrected:
    return Corrected(quiet_database, project)


async def test_enough_corrections_of_one_model_begin_a_retraining(corrected: Corrected) -> None:
    await corrected.retrainings.set_policy(
        corrected.name, RetrainingPolicy(min_corrections=3, canary_share=0.1, effort="fast")
    )
    for model, is_corrected in (("v1", True), ("v2", True), ("v1", True), ("v1", False), ("v2", True)):
        await corrected.review(model, corrected=is_corrected)
    assert await corrected.begun() == []
    assert (await corrected.retrainings.policy(corrected.name))[1] == 2
    await corrected.review("v2")
    (begun,) = await corrected.begun()
    assert (begun.baseline, begun.corrections, begun.state) == ("v2", 3, RetrainingState.PREPARING)
    assert (begun.effort, begun.canary_share, begun.only_if_better) == ("fast", 0.1, True)
    # Counted from the beginning; and while one is under way no other one begins.
    assert (await corrected.retrainings.policy(corrected.name))[1] == 0
    for _ in range(4):
        await corrected.review("v2")
    assert await corrected.begun() == [begun]
    await corrected.retrainings.advance(begun, RetrainingState.NOT_BETTER, model="v3")
    await corrected.review("v2")
    assert [one.corrections for one in await corrected.begun()] == [5, 3]


@pytest.mark.parametrize("policy", [None, RetrainingPolicy(min_corrections=0)])
async def test_nothing_begins_by_itself_unless_asked_for(corrected: Corrected, policy: RetrainingPolicy | None) -> None:
    if policy is not None:
        await corrected.retrainings.set_policy(corrected.name, policy)
    for _ in range(3):
        await corrected.review("v1")
    assert await corrected.begun() == []
    assert (await corrected.retrainings.policy(corrected.name))[1] == 3


async def test_a_request_begins_one_retraining(corrected: Corrected) -> None:
    async def begin(request_id: uuid.UUID | None) -> Retraining:
        return await corrected.retrainings.begin(
            corrected.name, "v1", "fast", only_if_better=False, request_id=request_id
        )

    request_id = uuid.uuid4()
    first = await begin(request_id)
    assert await begin(request_id) == first
    assert (await begin(None)).sequence > first.sequence
    assert await corrected.retrainings.get(RetrainingName.parse(first.name)) == first
    for other in (f"projects/elsewhere/retrainings/{first.sequence}", first.name + "9", first.name + "x"):
        with pytest.raises(NotFoundError):
            await corrected.retrainings.get(RetrainingName.parse(other))


async def test_a_state_that_is_old_news_changes_nothing(corrected: Corrected) -> None:
    begun = await corrected.retrainings.begin(corrected.name, "v1", "fast", only_if_better=False, request_id=None)
    await corrected.retrainings.advance(begun, RetrainingState.TRAINING, snapshot="s", training_job="j")
    await corrected.retrainings.advance(begun, RetrainingState.FAILED)
    (now,) = await corrected.begun()
    assert (now.state, now.training_job, now.end_time) == (RetrainingState.TRAINING, "j", None)
    await corrected.retrainings.advance(now, RetrainingState.PROPOSED, model="v2")
    assert (await corrected.begun())[0].end_time is not None


class Trained:
    """Retrainings whose trainings are over, for the training server to bring to their ends."""

    def __init__(self, database: Database, publish: Callable[..., Awaitable[str]], project: str) -> None:
        self._database = database
        self._publish = publish
        self._project = project
        self.retrainings = Retrainings(database)

    async def add(self, baseline: Answers, candidate: Answers | None, **wishes: Any) -> RetrainingName:
        """One whose training made a model of these answers; without any it failed."""
        model = None if candidate is None else await self._model(candidate)
        job = TrainingJobRow(
            id=f"j-{uuid.uuid4().hex[:12]}",
            project=self._project,
            snapshot=f"projects/{self._project}/snapshots/1",
            manifest_key="key",
            manifest_sha256="0" * 64,
            state="FAILED" if model is None else "SUCCEEDED",
            model=model,
            error={"reason": "TRAINING_FAILED", "message": "it crashed"} if model is None else None,
        )
        row = RetrainingRow(
            project=self._project,
            deployment=f"projects/{self._project}/deployments/live",
            baseline=await self._model(baseline),
            effort="fast",
            state="TRAINING",
            training_job=f"projects/{self._project}/trainingJobs/{job.id}",
            **wishes,
        )
        async with self._database.transaction() as session:
            session.add_all([job, row])
        return RetrainingName(self._project, str(row.sequence))

    async def end_of(self, name: RetrainingName) -> Retraining:
        async with asyncio.timeout(60):
            while not (found := await self.retrainings.get(name)).state.is_final:
                await asyncio.sleep(0.2)
        return found

    async def _model(self, answers: Answers) -> str:
        return await self._publish(self._project, {"onnx": b"onnx"}, judged=answers)


@pytest.mark.usefixtures("training_server")
async def test_only_what_is_better_is_proposed_if_that_is_asked_for(
    database: Database,
    neighbours: Neighbours,
    publish_model: Callable[..., Awaitable[str]],
    new_project: Callable[[], str],
) -> None:
    trained = Trained(database, publish_model, new_project())
    better = await trained.add(POOR, GOOD, only_if_better=True, canary_share=0.25)
    worse = await trained.add(GOOD, POOR, only_if_better=True)
    wanted = await trained.add(GOOD, POOR, only_if_better=False)
    failed = await trained.add(GOOD, None, only_if_better=False)
    ends = [await trained.end_of(name) for name in (better, worse, wanted, failed)]
    assert [end.state for end in ends] == [
        RetrainingState.PROPOSED,
        RetrainingState.NOT_BETTER,
        RetrainingState.PROPOSED,
        RetrainingState.FAILED,
    ]
    comparisons = [end.comparison for end in ends]
    assert comparisons[0] is not None
    assert comparisons[1] is not None
    assert (comparisons[0].is_better, comparisons[1].is_better, comparisons[0].images) == (True, False, 200)
    assert ends[3].error is not None
    assert ends[3].error.message == "it crashed"
    proposed = {request.proposal.model: request.proposal for request in neighbours.proposed}
    assert proposed.keys() == {ends[0].model, ends[2].model}
    first = proposed[ends[0].model or ""]
    assert (first.canary_share, first.statement) == (0.25, comparisons[0].statement)
