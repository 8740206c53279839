"""Projects and datasets, and what is refused before it reaches them."""

import uuid
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from grpc import StatusCode
from grpc_status import rpc_status

from sightsmith.api.labeling.v1 import labeling_service_pb2 as pb
from sightsmith.api.labeling.v1 import snapshot_service_pb2 as snapshot_pb
from sightsmith.api.labeling.v1.dataset_pb2 import SPLIT_TEST, SPLIT_TRAIN, Dataset
from sightsmith.api.labeling.v1.project_pb2 import Project

from .labeling_client import Failure, LabelingClient, Sample
from .labeling_process import LabelingProcess
from .sample_images import jpeg


async def test_a_project_is_created_and_found(client: LabelingClient) -> None:
    project_id = f"a-{uuid.uuid4().hex[:8]}"
    request = pb.CreateProjectRequest(project_id=project_id, project=Project(display_name="Größe 🐻"))
    created = await client.stub.CreateProject(request, metadata=client.metadata)
    assert (created.name, created.display_name) == (f"projects/{project_id}", "Größe 🐻")
    assert created.HasField("create_time")
    assert await client.project(created.name) == created
    with Failure(StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS") as failure:
        await client.stub.CreateProject(request, metadata=client.metadata)
    assert failure.error.metadata == {"name": created.name}


async def test_a_project_is_called_by_its_id_unless_told_otherwise(client: LabelingClient) -> None:
    name = await client.new_project()
    assert f"projects/{(await client.project(name)).display_name}" == name


@pytest.mark.parametrize("display_name", ["x" * 256, "a\x00b", "a\nb"])
async def test_display_names_are_checked(client: LabelingClient, display_name: str) -> None:
    request = pb.CreateProjectRequest(project_id="never", project=Project(display_name=display_name))
    with Failure(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
        await client.stub.CreateProject(request, metadata=client.metadata)
    assert failure.fields == ["project.display_name"]


async def test_projects_come_in_pages(client: LabelingClient) -> None:
    names = [await client.new_project() for _ in range(5)]
    found, token = [], ""
    while True:
        request = pb.ListProjectsRequest(page_size=2, page_token=token)
        page = await client.stub.ListProjects(request, metadata=client.metadata)
        assert len(page.projects) <= 2
        found += [project.name for project in page.projects]
        if not (token := page.next_page_token):
            break
    assert found == sorted(found)
    assert set(names) <= set(found)


async def test_one_dataset_a_split(client: LabelingClient) -> None:
    project = await client.new_project()
    train = await client.new_dataset(project, "images", SPLIT_TRAIN)
    test = await client.new_dataset(project, "exam", SPLIT_TEST)
    with Failure(StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS") as failure:
        await client.new_dataset(project, "more", SPLIT_TRAIN)
    assert failure.error.metadata == {"name": train}
    assert train in failure.error.message
    with Failure(StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS") as failure:
        await client.new_dataset(project, "images", SPLIT_TRAIN)
    assert failure.error.metadata == {"name": train}
    request = pb.ListDatasetsRequest(parent=project, page_size=1)
    first = await client.stub.ListDatasets(request, metadata=client.metadata)
    assert [dataset.name for dataset in first.datasets] == [test]
    request.page_token = first.next_page_token
    second = await client.stub.ListDatasets(request, metadata=client.metadata)
    assert [(dataset.name, dataset.split) for dataset in second.datasets] == [(train, SPLIT_TRAIN)]
    assert second.next_page_token == ""


async def test_a_dataset_counts_its_images(client: LabelingClient, dataset: str) -> None:
    samples = [Sample("1", jpeg(1), ("dog", "cat")), Sample("2", jpeg(2), ("cat",)), Sample("3", jpeg(3), ())]
    await client.upload(dataset, samples)
    found = await client.dataset(dataset)
    assert found.image_count == 3
    assert [(count.label, count.image_count) for count in found.label_counts] == [("cat", 2), ("dog", 1)]


async def test_what_does_not_exist_is_named(client: LabelingClient, project: str) -> None:
    nowhere = "projects/nowhere"
    calls: list[tuple[Any, Message, str]] = [
        (client.stub.GetProject, pb.GetProjectRequest(name=nowhere), nowhere),
        (client.stub.ListDatasets, pb.ListDatasetsRequest(parent=nowhere), nowhere),
        (client.snapshots.ListSnapshots, snapshot_pb.ListSnapshotsRequest(parent=nowhere), nowhere),
        (client.snapshots.CreateSnapshot, snapshot_pb.CreateSnapshotRequest(parent=nowhere), nowhere),
        (
            client.stub.CreateDataset,
            pb.CreateDatasetRequest(parent=nowhere, dataset_id="d", dataset=Dataset(split=SPLIT_TRAIN)),
            nowhere,
        ),
        *(
            (call, request(**{field: f"{project}/datasets/none{tail}"}), f"{project}/datasets/none{tail}")
            for call, request, field, tail in [
                (client.stub.GetDataset, pb.GetDatasetRequest, "name", ""),
                (client.stub.ListImages, pb.ListImagesRequest, "parent", ""),
                (client.stub.GetImage, pb.GetImageRequest, "name", "/images/x"),
            ]
        ),
        *(
            (client.snapshots.GetSnapshot, snapshot_pb.GetSnapshotRequest(name=f"{project}/snapshots/{number}"), number)
            for number in ("1", "01", "x", "9" * 30)
        ),
    ]
    for call, request, name in calls:
        with Failure(StatusCode.NOT_FOUND, "NOT_FOUND") as failure:
            await call(request, metadata=client.metadata)
        assert failure.error.metadata["name"].endswith(name)


async def test_malformed_requests_name_the_field(client: LabelingClient, project: str, dataset: str) -> None:
    stub = client.stub
    calls: list[tuple[Any, Message, list[str]]] = [
        (stub.GetProject, pb.GetProjectRequest(), ["name"]),
        (stub.GetProject, pb.GetProjectRequest(name="project/x"), ["name"]),
        (stub.CreateProject, pb.CreateProjectRequest(project_id="No Good"), ["project_id"]),
        (stub.CreateDataset, pb.CreateDatasetRequest(parent=project), ["dataset_id", "dataset"]),
        (
            stub.CreateDataset,
            pb.CreateDatasetRequest(parent=project, dataset_id="d", dataset=Dataset()),
            ["dataset.split"],
        ),
        (
            stub.CreateDataset,
            pb.CreateDatasetRequest(parent=project, dataset_id="d", dataset=Dataset(split=7)),  # type: ignore[arg-type]
            ["dataset.split"],
        ),
        (
            stub.CreateDataset,
            pb.CreateDatasetRequest(parent=project, dataset_id="-", dataset=Dataset(split=SPLIT_TEST)),
            ["dataset_id"],
        ),
        (stub.ListImages, pb.ListImagesRequest(parent=project), ["parent"]),
        (stub.ListProjects, pb.ListProjectsRequest(page_size=-1), ["page_size"]),
        (stub.ListProjects, pb.ListProjectsRequest(page_token="nonsense"), ["page_token"]),
        (stub.ListProjects, pb.ListProjectsRequest(page_token="WyJcdTAwMDAiXQ=="), ["page_token"]),
        (stub.ListImages, pb.ListImagesRequest(parent=dataset, page_token="WyJhIl0="), ["page_token"]),
        (
            client.snapshots.ListSnapshots,
            snapshot_pb.ListSnapshotsRequest(parent=project, page_token="WyJhIl0="),
            ["page_token"],
        ),
    ]
    for call, request, fields in calls:
        with Failure(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
            await call(request, metadata=client.metadata)
        assert failure.fields == fields


@pytest.mark.parametrize("token", [None, "wrong"])
async def test_a_caller_shows_the_token(labeling: LabelingProcess, token: str | None) -> None:
    stranger = LabelingClient(labeling.target, token or "")
    metadata = stranger.metadata if token else ()
    async with stranger.channel:
        with Failure(StatusCode.UNAUTHENTICATED, "INVALID_TOKEN"):
            await stranger.stub.ListProjects(pb.ListProjectsRequest(), metadata=metadata)
        with Failure(StatusCode.UNAUTHENTICATED, "INVALID_TOKEN"):
            await stranger.stub.UploadImages(metadata=metadata).read()


async def test_a_message_over_the_limit_is_refused(client: LabelingClient) -> None:
    request = pb.GetProjectRequest(name="x" * 2_100_000)
    with pytest.raises(grpc.RpcError) as caught:
        await client.stub.GetProject(request, metadata=client.metadata)
    assert caught.value.code() is StatusCode.RESOURCE_EXHAUSTED


def test_other_clients_see_errors_in_the_standard_form(labeling: LabelingProcess, client: LabelingClient) -> None:
    request = pb.GetProjectRequest(name="projects/none").SerializeToString()
    with grpc.insecure_channel(labeling.target) as channel:
        call: Any = channel.unary_unary("/sightsmith.api.labeling.v1.LabelingService/GetProject")
        with pytest.raises(grpc.RpcError) as caught:
            call(request, metadata=client.metadata)
    status = rpc_status.from_call(caught.value)  # type: ignore[arg-type]
    assert status is not None
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain) == ("NOT_FOUND", "sightsmith")
