"""When a deployment's model is trained anew by itself, and what is written down of it."""

import uuid

import pytest

from sightsmith.api.events.v1.event_pb2 import Event, ReviewItemSettled
from sightsmith.database import Database
from sightsmith.errors import NotFoundError
from sightsmith.names import DeploymentName, RetrainingName
from sightsmith.paging import PageRequest
from sightsmith_training.retraining.retraining import Retraining, RetrainingPolicy, RetrainingState
from sightsmith_training.retraining.retrainings import Retrainings, on_review_item_settled


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


@pytest.fixture
def corrected(database: Database, project: str) -> Corrected:
    return Corrected(database, project)


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
