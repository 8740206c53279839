"""Several replicas on one database do not get into each other's way."""

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator

import pytest

from sightsmith.database import Database, migrate
from sightsmith.names import DeploymentName, ModelName
from sightsmith.settings import Settings
from sightsmith_inference.deployments import Deployment, Deployments, DeploymentState
from sightsmith_inference.errors import ModelNotServableError
from sightsmith_inference.lease import Lease
from sightsmith_inference.models import Models, Runtime, ServableModel
from sightsmith_inference.tables import MIGRATIONS, SCHEMA

MODEL = ModelName("farm", "v1")
SERVABLE = ServableModel("farm.v1.onnx.0123456789ab", str(MODEL), Runtime.ONNX, ("hen", "cow"), 8, 8)


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
    assert not await deployments.succeed(deployment, SERVABLE)
    assert not await deployments.fail(deployment, ModelNotServableError("too late"))
    assert (await deployments.get(deployment.name)).state is DeploymentState.STARTING


async def test_a_deployment_made_anew_is_another_one(database: Database, deployment: Deployment) -> None:
    deployments = Deployments(database)
    await deployments.delete(deployment.name)
    again = await deployments.create(deployment.name, MODEL, Runtime.ONNX)
    assert not await deployments.succeed(deployment, SERVABLE)
    assert await deployments.succeed(again, SERVABLE)


async def test_the_life_of_a_deployment(database: Database, deployment: Deployment) -> None:
    deployments, name = Deployments(database), deployment.name
    assert deployment.goal == (str(MODEL), Runtime.ONNX)
    assert await deployments.succeed(deployment, SERVABLE)
    running = await deployments.get(name)
    assert (running.state, running.serving) == (DeploymentState.RUNNING, SERVABLE)

    updating = await deployments.update(name, ModelName("farm", "v2"), None)
    assert (updating.state, updating.serving, updating.goal[0]) == (
        DeploymentState.UPDATING,
        SERVABLE,
        "projects/farm/models/v2",
    )
    assert await deployments.fail(updating, ModelNotServableError("v2 is no good"))
    kept = await deployments.get(name)
    assert (kept.state, kept.serving) == (DeploymentState.RUNNING, SERVABLE)
    assert kept.error is not None
    assert kept.error.message == "v2 is no good"

    # What comes back after the inference server lost it is the model that served, and what went wrong stays known.
    assert await deployments.lose(kept)
    lost = await deployments.get(name)
    assert (lost.state, lost.serving, lost.goal) == (DeploymentState.STARTING, None, (str(MODEL), Runtime.ONNX))
    assert await deployments.succeed(lost, SERVABLE)
    assert (await deployments.get(name)).error == kept.error

    assert await deployments.lose(await deployments.get(name))
    assert await deployments.fail(await deployments.get(name), ModelNotServableError("gone for good"))
    failed = await deployments.get(name)
    assert (failed.state, failed.serving, failed.last_served) == (DeploymentState.FAILED, None, None)
    assert dataclasses.replace(failed, state=DeploymentState.STARTING).goal[0] == "projects/farm/models/v2"
