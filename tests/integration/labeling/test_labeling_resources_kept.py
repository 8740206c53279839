"""Projects and datasets: changing and deleting them, tags, and how many there may be."""

import uuid
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode

from sightsmith.api.labeling.v1 import labeling_service_pb2 as pb
from sightsmith.api.labeling.v1.dataset_pb2 import SPLIT_TRAIN
from sightsmith.api.labeling.v1.project_pb2 import Project
from tests.integration.conftest import TOKEN

from .conftest import MakeProcess
from .labeling_client import Failure, LabelingClient, Sample
from .sample_images import jpeg


async def create(client: LabelingClient, **fields: Any) -> Project:
    request = pb.CreateProjectRequest(project_id=f"p-{uuid.uuid4().hex[:12]}", project=Project(**fields))
    return await client.stub.CreateProject(request, metadata=client.metadata)


async def update(client: LabelingClient, *fields: str, **values: Any) -> Project:
    request = pb.UpdateProjectRequest(project=Project(**values), update_mask=FieldMask(paths=fields))
    return await client.stub.UpdateProject(request, metadata=client.metadata)


async def test_a_project_is_changed_field_by_field(client: LabelingClient) -> None:
    project = await create(client, display_name="A", tags={"team": "blue", "cost": ""})
    assert dict(project.tags) == {"team": "blue", "cost": ""}
    assert (await update(client, name=project.name, display_name="B")).tags == project.tags
    changed = await update(client, "tags", name=project.name, display_name="ignored", tags={"x": "y"})
    assert (changed.display_name, dict(changed.tags)) == ("B", {"x": "y"})
    assert dict((await update(client, "tags", name=project.name)).tags) == {}
    assert (await client.project(project.name)).display_name == "B"
    with Failure(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
        await update(client, "name", name=project.name)
    assert failure.fields == ["update_mask"]
    with Failure(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await update(client, name="projects/nowhere", display_name="x")


@pytest.mark.parametrize(
    ("tags", "field"),
    [
        ({"": "x"}, "project.tags['']"),
        ({"k" * 129: "x"}, f"project.tags['{'k' * 128}']"),
        ({"AWS:x": "x"}, "project.tags['AWS:x']"),
        ({"x": "v" * 257}, "project.tags['x']"),
        ({"x": "a\0b"}, "project.tags['x']"),
        ({str(number): "" for number in range(201)}, "project.tags"),
    ],
)
async def test_tags_are_checked(client: LabelingClient, tags: dict[str, str], field: str) -> None:
    with Failure(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
        await create(client, tags=tags)
    assert failure.fields == [field]


async def test_projects_are_listed_by_name(client: LabelingClient) -> None:
    wanted = [(await create(client)).name for _ in range(2)]
    request = pb.ListProjectsRequest(names=[*wanted, "projects/nowhere"])
    found = await client.stub.ListProjects(request, metadata=client.metadata)
    assert [project.name for project in found.projects] == sorted(wanted)


async def test_a_dataset_is_replaced(client: LabelingClient, dataset: str, project: str) -> None:
    await client.upload(dataset, [Sample("1", jpeg(1))])
    with Failure(StatusCode.FAILED_PRECONDITION, "IN_USE") as failure:
        await client.stub.DeleteDataset(pb.DeleteDatasetRequest(name=dataset), metadata=client.metadata)
    assert failure.error.metadata == {"name": dataset}
    await client.stub.DeleteDataset(pb.DeleteDatasetRequest(name=dataset, force=True), metadata=client.metadata)
    with Failure(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await client.dataset(dataset)
    again = await client.new_dataset(project, "train", SPLIT_TRAIN)
    assert (await client.dataset(again)).image_count == 0
    await client.stub.DeleteDataset(pb.DeleteDatasetRequest(name=again), metadata=client.metadata)


async def test_a_project_goes_with_all_it_has(client: LabelingClient, dataset: str, project: str) -> None:
    await client.upload(dataset, [Sample("1", jpeg(1))])
    with Failure(StatusCode.FAILED_PRECONDITION, "IN_USE"):
        await client.stub.DeleteProject(pb.DeleteProjectRequest(name=project), metadata=client.metadata)
    await client.stub.DeleteProject(pb.DeleteProjectRequest(name=project, force=True), metadata=client.metadata)
    for call in (client.project(project), client.dataset(dataset)):
        with Failure(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await call


async def test_there_are_no_more_projects_than_there_may_be(make_process: MakeProcess) -> None:
    process = make_process({"SIGHTSMITH_MAX_PROJECTS": "1"})
    process.start()
    few = LabelingClient(process.target, TOKEN)
    async with few.channel:
        with Failure(StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED") as failure:
            # The other tests have made one at least, unless this one runs alone.
            await create(few)
            await create(few)
        assert failure.error.metadata == {"limit": "1"}
