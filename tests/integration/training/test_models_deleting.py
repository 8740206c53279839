"""Deleting models."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import grpc
import nats
import pytest
from google.rpc import code_pb2
from nats.js.errors import NotFoundError
from obstore.store import S3Store
from sqlalchemy import func, select

from sightsmith.api.events.v1.event_pb2 import Event
from sightsmith.api.inference.v1.deployment_pb2 import Alias, Deployment
from sightsmith.api.training.v1.model_service_pb2 import DeleteModelRequest
from sightsmith.api.training.v1.model_service_pb2_grpc import ModelServiceStub
from sightsmith.client import Client, SightsmithError
from sightsmith.client.calls import calling
from sightsmith.database import Database
from sightsmith.events.bus import STREAM
from sightsmith.names import ModelName
from sightsmith.objects import Objects
from sightsmith.settings import Settings
from sightsmith_training.discarded_files import DiscardedFiles
from sightsmith_training.tables import DiscardedFileRow, EvaluatedImageRow, ModelRow
from tests.integration.conftest import TOKEN
from tests.integration.training.neighbours import Neighbours
from tests.integration.training.training_server import TrainingServer

PublishModel = Callable[..., Awaitable[str]]
NewProject = Callable[[], str]


@pytest.fixture
async def name(publish_model: PublishModel, new_project: NewProject) -> str:
    return await publish_model(new_project())


def deployed(name: str, id_: str = "live", **models: str) -> Deployment:
    project = ModelName.parse(name).project
    return Deployment(name=f"projects/{project}/deployments/{id_}", **models)


def is_there(client: Client, name: str) -> bool:
    return name in {model.name for model in client.list_models(ModelName.parse(name).project)}


async def test_a_model_goes_with_its_files_and_its_evaluation(
    client: Client, name: str, publish_model: PublishModel, store: Path, database: Database
) -> None:
    keys = [artifact.key for artifact in client.model(name).artifacts]
    assert all((store / key).exists() for key in keys)
    async with database.transaction() as session:
        project = ModelName.parse(name).project
        model = await session.scalar(select(ModelRow).where(ModelRow.project == project))
    assert model is not None
    client.models.delete(name)
    assert not is_there(client, name)
    with pytest.raises(SightsmithError, match=f"{name} does not exist"):
        client.model(name)
    assert not any((store / key).exists() for key in keys)
    images = (
        select(func.count())
        .select_from(EvaluatedImageRow)
        .where(EvaluatedImageRow.evaluation_id == model.own_evaluation.id)
    )
    async with database.transaction() as session:
        assert await session.scalar(images) == 0
        assert not (await session.scalars(select(DiscardedFileRow.key).where(DiscardedFileRow.key.in_(keys)))).all()
    with pytest.raises(SightsmithError) as raised:
        client.models.delete(name)
    assert raised.value.reason == "NOT_FOUND"
    assert (await publish_model(project)).endswith("/v2"), "a number is not given again"


async def test_the_other_services_are_told(client: Client, name: str, server_settings: Settings) -> None:
    client.models.delete(name)
    assert server_settings.nats_token is not None
    connection = await nats.connect(server_settings.nats_url, token=server_settings.nats_token.get_secret_value())
    told = ""
    deadline = time.monotonic() + 20
    while told != name and time.monotonic() < deadline:
        with suppress(NotFoundError):  # None was ever told.
            message = await connection.jetstream().get_last_msg(STREAM, "sightsmith.events.model.deleted")
            told = Event.FromString(message.data or b"").model_deleted.model
        await asyncio.sleep(0.1)
    await connection.close()
    assert told == name


@pytest.mark.parametrize("state", [Deployment.STATE_STARTING, Deployment.STATE_RUNNING, Deployment.STATE_FAILED])
async def test_a_deployed_model_stays(
    client: Client, name: str, neighbours: Neighbours, state: Deployment.State.ValueType
) -> None:
    other = f"{name}0"
    wanted = deployed(name, "wanted", model=name, state=state)
    serving = deployed(name, "serving", model=other, serving_model=name, state=Deployment.STATE_UPDATING)
    canary = deployed(name, "canary", model=other, serving_model=other, aliases=[Alias(alias="canary", model=name)])
    others = [deployed(name, f"other-{number}", model=other, serving_model=other) for number in range(3)]
    neighbours.deployments += [*others, wanted, serving, canary]
    with pytest.raises(SightsmithError) as raised:
        client.models.delete(name)
    error = raised.value
    assert (error.code, error.reason) == (code_pb2.FAILED_PRECONDITION, "IN_USE")
    assert error.metadata == {"name": name, "deployments": f"{wanted.name},{serving.name},{canary.name}"}
    assert is_there(client, name)
    neighbours.deployments[:] = others
    client.models.delete(name)
    assert not is_there(client, name)


async def test_deployments_of_other_models_do_not_matter(
    client: Client, name: str, new_project: NewProject, neighbours: Neighbours
) -> None:
    copy = client.models.copy(name, new_project())
    neighbours.deployments.append(deployed(copy.name, model=copy.name, serving_model=copy.name))
    client.models.delete(name)
    assert not is_there(client, name)


async def test_while_inference_is_away_nothing_is_deleted(
    client: Client, training_server: TrainingServer, name: str, neighbours: Neighbours, store: Path
) -> None:
    neighbours.inference_is_away = True
    # Not by the client, which is patient.
    metadata = (("authorization", f"Bearer {TOKEN}"),)
    with grpc.insecure_channel(training_server.target) as channel, pytest.raises(SightsmithError) as raised, calling():
        ModelServiceStub(channel).DeleteModel(DeleteModelRequest(name=name), metadata=metadata)
    assert (raised.value.code, raised.value.reason) == (code_pb2.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE")
    assert raised.value.metadata == {"service": "inference"}
    assert all((store / artifact.key).exists() for artifact in client.model(name).artifacts)


async def test_original_and_copy_deleted_at_a_time_leave_no_file(
    client: Client, name: str, new_project: NewProject, store: Path
) -> None:
    models = [client.model(name), *(client.models.copy(name, new_project()) for _ in range(3))]
    with ThreadPoolExecutor(len(models)) as threads:
        list(threads.map(lambda model: client.models.delete(model.name), models))
    assert not any((store / artifact.key).exists() for model in models for artifact in model.artifacts)


async def test_only_files_that_no_model_needs_are_swept(
    client: Client, name: str, database: Database, objects: Objects, store: Path
) -> None:
    needed = client.model(name).artifacts[0].key
    left = f"{needed}.of-a-deletion-that-broke-off"
    await objects.put(left, b"left")
    async with database.transaction() as session:
        session.add_all([DiscardedFileRow(key=needed), DiscardedFileRow(key=left)])
    await DiscardedFiles(database, objects).sweep()
    assert (store / needed).exists()
    assert not (store / left).exists()
    async with database.transaction() as session:
        noted = (await session.scalars(select(DiscardedFileRow.key))).all()
    assert needed in noted, "it goes with the model"
    assert left not in noted
    client.models.delete(name)
    assert not (store / needed).exists()


async def test_files_stay_noted_while_the_object_store_is_away(database: Database, objects: Objects) -> None:
    async with database.transaction() as session:
        session.add(DiscardedFileRow(key="away/1"))
    nowhere = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "aws_region": "x"}
    away = S3Store(
        "bucket",
        endpoint="http://127.0.0.1:1",
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
        **nowhere,
    )
    await DiscardedFiles(database, Objects(away)).sweep()
    async with database.transaction() as session:
        assert await session.get(DiscardedFileRow, "away/1") is not None
    await DiscardedFiles(database, objects).sweep()
    async with database.transaction() as session:
        assert await session.get(DiscardedFileRow, "away/1") is None
