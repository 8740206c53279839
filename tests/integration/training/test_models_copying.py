"""Copies of models in other projects."""

import hashlib
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from sightsmith.api.training.v1 import model_service_pb2 as pb
from sightsmith.api.training.v1.model_pb2 import Model
from sightsmith.client import Client, SightsmithError
from sightsmith.client.calls import calling
from sightsmith.names import ModelName
from tests.integration.training.trained_model import FILE_NAMES

PublishModel = Callable[..., Awaitable[str]]
NewProject = Callable[[], str]
FILES = {"onnx": b"onnx" * 1000, "torchscript": b"script" * 1000}
_OWN_FIELDS = ("name", "artifacts", "copied_from", "create_time", "update_time", "etag")


@pytest.fixture
async def name(publish_model: PublishModel, new_project: NewProject) -> str:
    return await publish_model(new_project(), FILES)


def copy(client: Client, name: str, project: str, request_id: uuid.UUID | None = None) -> Model:
    request = pb.CopyModelRequest(
        name=name, destination=f"projects/{project}", request_id=str(request_id) if request_id else ""
    )
    with calling():
        return client.models.stub.CopyModel(request)


def contents(store: Path, model: Model) -> dict[tuple[int, str], bytes]:
    """The files of a model as they are in the object store, which must be as they are said to be."""
    found = {}
    for artifact in model.artifacts:
        data = (store / artifact.key).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (artifact.size_bytes, artifact.sha256)
        found[artifact.format, artifact.path] = data
    return found


async def test_a_copy_is_the_same_model_under_a_name_of_its_own(
    client: Client, name: str, new_project: NewProject
) -> None:
    client.models.describe(name, "good")
    client.models.tag(name, {"stage": "prod"})
    project = new_project()
    made = client.models.copy(name, project)
    assert (made.name, made.copied_from, made.etag) == (f"projects/{project}/models/v1", name, '"1"')
    original = client.model(name)
    images = list(client.evaluated_images(name))
    assert list(client.evaluated_images(made.name)) == images
    assert len(images) == 4
    assert client.evaluation(made.name).summary == client.evaluation(name).summary
    assert client.model(made.name) == made
    for field in _OWN_FIELDS:
        made.ClearField(field)
        original.ClearField(field)
    assert made == original


async def test_a_copy_is_a_model_of_its_own_in_the_inference_server(
    client: Client, name: str, new_project: NewProject, store: Path
) -> None:
    made = client.models.copy(name, new_project())
    project = ModelName.parse(made.name).project
    original = client.model(name)
    ours, theirs = contents(store, made), contents(store, original)
    assert ours.keys() == theirs.keys()
    for (model_format, path), data in ours.items():
        if path != "config.pbtxt":
            assert data == theirs[model_format, path]
            continue
        config = text_format.Parse(data, model_config_pb2.ModelConfig())
        assert config.name.startswith(f"{project}.v1.")
        before = text_format.Parse(theirs[model_format, path], model_config_pb2.ModelConfig())
        assert before.name.startswith(f"{ModelName.parse(name).project}.v1.")
        before.name = config.name
        assert config == before
    shared = {artifact.key for artifact in made.artifacts} & {artifact.key for artifact in original.artifacts}
    assert len(shared) == len(FILES)


async def test_a_copy_stays_when_its_original_is_deleted(
    client: Client, name: str, new_project: NewProject, store: Path
) -> None:
    made = client.models.copy(name, new_project())
    again = client.models.copy(made.name, new_project())
    client.models.delete(name)
    client.models.delete(made.name)
    assert client.model(again.name) == again
    assert again.copied_from == made.name
    files = contents(store, again)
    assert {path for _, path in files} == {"config.pbtxt", *FILE_NAMES.values()}
    client.models.delete(again.name)
    assert not any((store / artifact.key).exists() for artifact in (*made.artifacts, *again.artifacts))


async def test_a_request_sent_again_makes_no_second_copy(
    client: Client, name: str, new_project: NewProject, store: Path
) -> None:
    project, request_id = new_project(), uuid.uuid4()
    with ThreadPoolExecutor(5) as threads:
        copies = list(threads.map(lambda _: copy(client, name, project, request_id), range(5)))
    assert all(made == copies[0] for made in copies)
    assert [model.name for model in client.list_models(project)] == [copies[0].name]
    files = [path for path in (store / "models" / project).rglob("*") if path.is_file()]
    assert len(files) == len(FILES), "one config.pbtxt a format: the others left nothing behind"
    assert copy(client, name, project).name != copies[0].name


async def test_a_request_id_stands_for_one_copy(
    client: Client, name: str, publish_model: PublishModel, new_project: NewProject
) -> None:
    other, project, request_id = await publish_model(new_project()), new_project(), uuid.uuid4()
    made = copy(client, name, project, request_id)
    with pytest.raises(SightsmithError) as raised:
        copy(client, other, project, request_id)
    assert (raised.value.reason, raised.value.metadata) == ("REQUEST_ID_REUSED", {"name": made.name})
    assert copy(client, other, new_project(), request_id).copied_from == other, "ids are of a project"


async def test_copies_that_cannot_be_made_are_refused(client: Client, name: str, new_project: NewProject) -> None:
    for source, project, reason in (
        (name, "nowhere", "NOT_FOUND"),
        (name, ModelName.parse(name).project, "INVALID_FIELD"),
        (f"{name}9", new_project(), "NOT_FOUND"),
    ):
        with pytest.raises(SightsmithError) as raised:
            copy(client, source, project)
        assert raised.value.reason == reason
    with pytest.raises(SightsmithError, match="request_id: must be a UUID"), calling():
        client.models.stub.CopyModel(
            pb.CopyModelRequest(name=name, destination=f"projects/{new_project()}", request_id="again")
        )


async def test_a_copy_of_a_model_whose_files_are_gone_leaves_nothing(
    client: Client, name: str, new_project: NewProject, store: Path
) -> None:
    project = new_project()
    config = next(artifact for artifact in client.model(name).artifacts if artifact.path == "config.pbtxt")
    (store / config.key).unlink()
    with pytest.raises(SightsmithError, match="is not in the object store"):
        copy(client, name, project)
    assert list(client.list_models(project)) == []
    assert not list((store / "models").glob(f"{project}/**/*.pbtxt"))


async def test_a_copy_of_a_model_that_is_just_being_deleted_is_whole_or_not_there(
    client: Client, publish_model: PublishModel, new_project: NewProject, store: Path
) -> None:
    source, project = new_project(), new_project()
    names = [await publish_model(source, FILES) for _ in range(12)]

    def try_to_copy(name: str) -> str:
        try:
            return copy(client, name, project).name
        except SightsmithError as error:
            return error.reason

    with ThreadPoolExecutor(4) as threads:
        outcomes = []
        for name in names:
            copying, deleting = threads.submit(try_to_copy, name), threads.submit(client.models.delete, name)
            deleting.result()
            outcomes.append(copying.result())
    copies = {model.name: model for model in client.list_models(project)}
    assert {outcome for outcome in outcomes if outcome != "NOT_FOUND"} == set(copies)
    kept = {store / artifact.key for model in copies.values() for artifact in model.artifacts if contents(store, model)}
    files = {path for id_ in (source, project) for path in (store / "models" / id_).rglob("*") if path.is_file()}
    assert files == kept
