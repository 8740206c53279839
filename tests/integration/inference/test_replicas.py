"""Several replicas on one database do not get into each other's way."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from sightsmith.database import Database, migrate
from sightsmith.errors import FailedPreconditionError, NotFoundError
from sightsmith.names import DeploymentName, ModelName
from sightsmith.settings import Settings
from sightsmith_inference.deployment import Deployment, DeploymentState
from sightsmith_inference.deployments import Deployments
from sightsmith_inference.errors import ModelNotServableError
from sightsmith_inference.lease import Lease
from sightsmith_inference.models import Models, Runtime, ServableModel
from sightsmith_inference.releases import LIVE, ShadowFigures, Target
from sightsmith_inference.sampling import SamplingPolicy
from sightsmith_inference.stored_releases import KEPT_RELEASES
from sightsmith_inference.tables import MIGRATIONS, SCHEMA, DeletedModelRow

MODEL = ModelName("farm", "v1")
SERVABLE = ServableModel("farm.v1.onnx.0123456789ab", str(MODEL), Runtime.ONNX, ("hen", "cow"), 8, 8)
SERVABLES = {LIVE: SERVABLE}


@pytest.fixture(scope="module")
async def database(server_settings: Settings) -> AsyncIterator[Database]:
    url = server_settings.database_url.get_secret_value()
    migrate(url, SCHEMA, MIGRATIONS)
    database = Database(url)
    await Models(database).add_staged({Runtime.ONNX: SERVABLE})
    yield database
    await database.close()


@pytest.fixture
async def deployment(database: Database) -> Deployment:
    name = DeploymentName("farm", f"barn-{uuid.uuid4().hex[:8]}")
    return await Deployments(database).create(name, MODEL, Runtime.ONNX)


async def test_one_replica_holds_the_lease_until_it_gives_it_back(database: Database) -> None:
    first, second = Lease(database, "work", 60), Lease(database, "work", 60)
    assert [await first.hold(), await second.hold(), await first.hold()] == [True, False, True]
    await second.give_back()
    assert not await second.hold()
    await first.give_back()
    assert await second.hold()


async def test_a_lease_runs_out(database: Database) -> None:
    assert await Lease(database, "short", 0.05).hold()
    await asyncio.sleep(0.1)
    assert await Lease(database, "short", 60).hold()


async def test_a_replica_that_was_overtaken_changes_nothing(database: Database, deployment: Deployment) -> None:
    deployments = Deployments(database)
    await deployments.update(deployment.name, None, Runtime.TORCHSCRIPT)
    assert not await deployments.succeed(deployment, SERVABLES)
    assert not await deployments.fail(deployment, ModelNotServableError("too late"))
    assert (await deployments.get(deployment.name)).state is DeploymentState.STARTING


async def test_a_deployment_made_anew_is_another_one(database: Database, deployment: Deployment) -> None:
    deployments = Deployments(database)
    await deployments.delete(deployment.name)
    again = await deployments.create(deployment.name, MODEL, Runtime.ONNX)
    assert not await deployments.succeed(deployment, SERVABLES)
    assert await deployments.succeed(again, SERVABLES)


async def test_the_life_of_a_deployment(database: Database, deployment: Deployment) -> None:
    deployments, name = Deployments(database), deployment.name
    assert (deployment.goal.live.model, deployment.goal.live.runtime) == (str(MODEL), Runtime.ONNX)
    assert await deployments.succeed(deployment, SERVABLES)
    running = await deployments.get(name)
    assert (running.state, _live(running)) == (DeploymentState.RUNNING, SERVABLE)

    updating = await deployments.update(name, ModelName("farm", "v2"), None)
    assert (updating.state, _live(updating)) == (DeploymentState.UPDATING, SERVABLE)
    assert updating.goal.live.model == "projects/farm/models/v2"
    assert await deployments.fail(updating, ModelNotServableError("v2 is no good"))
    kept = await deployments.get(name)
    assert (kept.state, _live(kept)) == (DeploymentState.RUNNING, SERVABLE)
    assert kept.error is not None
    assert kept.error.message == "v2 is no good"
    # The next wish builds on what answers: nobody has to know what was refused before.
    assert kept.wanted == kept.served
    sampled = await deployments.update(name, None, None, SamplingPolicy(share=0.5))
    assert (sampled.state, sampled.wanted.live.model) == (DeploymentState.RUNNING, str(MODEL))

    # What comes back after the inference server lost it is the model that served, and what went wrong stays known.
    assert await deployments.lose(kept)
    lost = await deployments.get(name)
    assert (lost.state, lost.serving, lost.goal.live.model) == (DeploymentState.STARTING, None, str(MODEL))
    assert await deployments.succeed(lost, SERVABLES)
    assert (await deployments.get(name)).error == kept.error

    assert await deployments.lose(await deployments.get(name))
    assert await deployments.fail(await deployments.get(name), ModelNotServableError("gone for good"))
    failed = await deployments.get(name)
    assert (failed.state, failed.serving, failed.served) == (DeploymentState.FAILED, None, None)
    again = await deployments.start(name)
    assert (again.state, again.goal.live.model) == (DeploymentState.STARTING, str(MODEL))


async def test_the_way_back_leads_to_what_served_before(database: Database, deployment: Deployment) -> None:
    deployments, name = Deployments(database), deployment.name
    with pytest.raises(FailedPreconditionError, match="nothing to go back to"):
        await deployments.roll_back(name)
    await deployments.succeed(deployment, SERVABLES)
    canary = Target("canary", str(MODEL), Runtime.ONNX, 0.25)
    shared = await deployments.update(name, None, None, aliases=[canary])
    assert [(target.alias, target.share) for target in shared.wanted.targets] == [(LIVE, 0.75), ("canary", 0.25)]
    await deployments.succeed(shared, {LIVE: SERVABLE, "canary": SERVABLE})
    third = await deployments.update(name, None, Runtime.TORCHSCRIPT)
    assert [target.alias for target in third.wanted.targets] == [LIVE, "canary"]
    await deployments.succeed(third, {LIVE: SERVABLE, "canary": SERVABLE})

    served = await deployments.get(name)
    assert [release.number for release in served.history] == [2, 1]
    # Only what serves holds on to files.
    assert [release.servables for release in served.history] == [[], []]
    back = await deployments.roll_back(name)
    assert (back.state, back.wanted.number, back.goal.live.runtime) == (DeploymentState.UPDATING, 4, Runtime.ONNX)
    assert len(back.goal.targets) == 2
    first = await deployments.roll_back(name, 1)
    assert len(first.goal.targets) == 1
    await deployments.succeed(first, SERVABLES)
    assert [release.number for release in (await deployments.get(name)).history] == [3, 2, 1]
    for number in (4, 99):
        with pytest.raises(NotFoundError, match=f"release {number} of"):
            await deployments.roll_back(name, number)


async def test_what_was_deleted_is_told_and_not_gone_back_to(database: Database, deployment: Deployment) -> None:
    deployments, name, passing = Deployments(database), deployment.name, ModelName("farm", "passing")
    passing_servable = replace(SERVABLE, triton_model="farm.passing.onnx.0123456789ab", model=str(passing))
    await Models(database).add_staged({Runtime.ONNX: passing_servable})
    await deployments.succeed(deployment, SERVABLES)
    for model, servable in ((passing, passing_servable), (MODEL, SERVABLE)):
        await deployments.succeed(await deployments.update(name, model, None), {LIVE: servable})
    assert [release.live.is_staged for release in (await deployments.get(name)).history] == [True, True]

    async with database.transaction() as session:
        session.add(DeletedModelRow(model=str(passing)))
    history = (await deployments.get(name)).history
    assert [(release.number, release.live.is_staged) for release in history] == [(2, False), (1, True)]
    with pytest.raises(FailedPreconditionError, match=f"release 2 of .* deleted since: {passing}"):
        await deployments.roll_back(name)
    assert (await deployments.get(name)).state is DeploymentState.RUNNING
    assert (await deployments.roll_back(name, 1)).wanted.live.model == str(MODEL)


async def test_only_so_many_releases_are_kept(database: Database, deployment: Deployment) -> None:
    deployments, name = Deployments(database), deployment.name
    await deployments.succeed(deployment, SERVABLES)
    for _ in range(KEPT_RELEASES + 2):
        await deployments.succeed(await deployments.update(name, None, Runtime.ONNX), SERVABLES)
    kept = await deployments.get(name)
    assert [release.number for release in kept.history] == list(range(KEPT_RELEASES + 2, 3, -1))


async def test_stop_and_start_keep_what_served(database: Database, deployment: Deployment) -> None:
    deployments, name = Deployments(database), deployment.name
    await deployments.succeed(deployment, SERVABLES)
    await deployments.update(name, ModelName("farm", "v2"), None)
    stopping = await deployments.stop(name)
    assert (stopping.state, stopping.wanted.number) == (DeploymentState.STOPPING, 1)
    assert not stopping.triton_models
    assert (await deployments.stop(name)).revision == stopping.revision
    assert await deployments.finish_stopping(stopping)
    assert not await deployments.finish_stopping(stopping)
    starting = await deployments.start(name)
    assert starting.is_coming_back
    assert (starting.goal.number, starting.goal.live.servable) == (1, SERVABLE)
    await deployments.succeed(starting, SERVABLES)
    assert (await deployments.start(name)).state is DeploymentState.RUNNING


async def test_another_model_for_what_is_stopped_is_served_from_the_next_start_on(
    database: Database, deployment: Deployment
) -> None:
    deployments, name = Deployments(database), deployment.name
    await deployments.succeed(deployment, SERVABLES)
    await deployments.finish_stopping(await deployments.stop(name))
    changed = await deployments.update(name, ModelName("farm", "v2"), None)
    assert (changed.state, changed.served) == (DeploymentState.STOPPED, None)
    assert (await deployments.start(name)).goal.live.model == "projects/farm/models/v2"


async def test_figures_of_shadows_add_up(database: Database, deployment: Deployment) -> None:
    deployments, name = Deployments(database), deployment.name
    shadow = Target("next", str(MODEL), Runtime.ONNX, 1.0, is_shadow=True)
    changed = await deployments.update(name, None, None, aliases=[shadow])
    await deployments.succeed(changed, {LIVE: SERVABLE, "next": SERVABLE})
    key = (deployment.id, changed.wanted.number, "next")
    figures = {key: ShadowFigures(3, 1, 2, 0, 0.5), (uuid.uuid4(), 1, "next"): ShadowFigures(compared=1)}
    for _ in range(2):
        await deployments.count_shadows(figures)
    (found,) = (await deployments.get(name)).wanted.shadows
    assert found.figures == ShadowFigures(6, 2, 4, 0, 1.0)


def _live(deployment: Deployment) -> ServableModel | None:
    return deployment.serving.live.servable if deployment.serving else None
