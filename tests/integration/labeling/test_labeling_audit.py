"""The audit trail: every change leaves an entry that says who did what."""

import pytest
from google.protobuf.json_format import MessageToDict
from grpc import StatusCode

from sightsmith.api.labeling.v1 import change_service_pb2, label_service_pb2
from sightsmith.api.labeling.v1 import labeling_service_pb2 as pb
from sightsmith.api.labeling.v1.dataset_pb2 import SPLIT_TEST
from sightsmith.api.labeling.v1.image_pb2 import Image
from sightsmith.api.labeling.v1.label_pb2 import Label
from sightsmith.api.labeling.v1.project_pb2 import Project
from sightsmith.api.labeling.v1.snapshot_service_pb2 import CreateSnapshotRequest, RestoreSnapshotRequest
from sightsmith.api.labeling.v1.snapshot_service_pb2_grpc import SnapshotServiceStub

from .annotating_client import AnnotatingClient, annotation
from .labeling_client import Failure, LabelingClient


@pytest.fixture
def ann(client: LabelingClient) -> AnnotatingClient:
    return AnnotatingClient(client, actor="ann")


async def test_every_change_is_on_record(ann: AnnotatingClient, dataset: str, project: str) -> None:
    stub, metadata = ann.client.stub, ann.metadata
    test = await ann.client.new_dataset(project, "test", SPLIT_TEST)
    names = await ann.images(dataset, ["a"], ["b"], ["c"])
    await ann.add(names[0], "x", (1, 2, 3, 4))
    await ann.replace(names[0], annotation("y"))
    await stub.UpdateImage(pb.UpdateImageRequest(image=Image(name=names[0], source="new.jpg")), metadata=metadata)
    await stub.MoveImages(pb.MoveImagesRequest(parent=dataset, names=names[1:2], destination=test), metadata=metadata)
    await stub.BatchDeleteImages(pb.BatchDeleteImagesRequest(parent=dataset, names=names[2:]), metadata=metadata)
    y, b = await ann.label(project, "y"), await ann.label(project, "b")
    renamed = Label(name=y.name, display_name="z")
    await ann.labels.UpdateLabel(label_service_pb2.UpdateLabelRequest(label=renamed), metadata=metadata)
    await ann.labels.MergeLabel(label_service_pb2.MergeLabelRequest(name=y.name, into=b.name), metadata=metadata)
    await ann.labels.DeleteLabel(label_service_pb2.DeleteLabelRequest(name=b.name, force=True), metadata=metadata)
    changed = Project(name=project, display_name="Shop", tags={"team": "blue"})
    await stub.UpdateProject(pb.UpdateProjectRequest(project=changed), metadata=metadata)
    await stub.DeleteDataset(pb.DeleteDatasetRequest(name=dataset, force=True), metadata=metadata)
    await stub.DeleteProject(pb.DeleteProjectRequest(name=project, force=True), metadata=metadata)

    trail = await ann.trail(project, actor="ann")
    assert [change.action for change in reversed(trail)] == [
        "annotations.create",
        "annotations.replace",
        "images.update",
        "images.move",
        "images.delete",
        "labels.rename",
        "labels.merge",
        "labels.delete",
        "labels.strip",
        "labels.delete",
        "projects.update",
        "datasets.delete",
        "projects.delete",
    ]
    # The project is gone; its trail is not.
    details = {change.action: MessageToDict(change.details) for change in trail}
    box = {"left": 1, "top": 2, "width": 3, "height": 4}
    assert details["annotations.create"]["added"] == [
        {"id": 2, "label": "x", "origin": "person", "author": "ann", "box": box}
    ]
    assert [one["label"] for one in details["annotations.replace"]["removed"]] == ["a", "x"]
    assert details["images.update"] == {"before": "000.jpg", "after": "new.jpg"}
    assert (details["images.move"]["image_count"], details["images.move"]["to"]) == (1, test)
    assert details["images.delete"]["images"] == [names[2].rpartition("/")[2]]
    assert details["labels.rename"] == {"before": "y", "after": "z"}
    assert details["labels.merge"]["image_count"] == 1
    assert details["projects.update"]["after"] == {"display_name": "Shop", "tags": {"team": "blue"}}
    assert all(change.request_id for change in trail)


async def test_the_trail_is_filtered_and_paged(ann: AnnotatingClient, dataset: str, project: str) -> None:
    names = await ann.images(dataset, ["a"], ["b"])
    ben = AnnotatingClient(ann.client, actor="ben")
    for number in range(3):
        await ann.add(names[0], "x", (number, 0, 1, 1))
    await ben.add(names[1], "x", (0, 0, 1, 1))
    of_image = await ann.trail(project, resource=names[0])
    # Its upload was a step for both images.
    assert [change.resource for change in of_image] == [names[0]] * 3 + [dataset]
    assert [change.resource for change in await ann.trail(project, actor="ben")] == [names[1]]
    assert len(await ann.trail(project, action="annotations.*")) == 4
    assert await ann.trail(project, action="annotations") == []
    later = await ann.trail(project, after_time=of_image[1].create_time, resource=names[0])
    assert later == of_image[:1]
    request = change_service_pb2.ListChangesRequest(parent=project, page_size=3, action="annotations.create")
    first = await ann.changes.ListChanges(request, metadata=ann.metadata)
    request.page_token = first.next_page_token
    second = await ann.changes.ListChanges(request, metadata=ann.metadata)
    assert [*first.changes, *second.changes] == await ann.trail(project, action="annotations.create")
    with Failure(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
        await ann.trail(project, actor="a\0")
    assert failure.fields == ["actor"]


async def test_an_image_has_its_whole_history(ann: AnnotatingClient, dataset: str, project: str) -> None:
    stub, metadata = ann.client.stub, ann.metadata
    test = await ann.client.new_dataset(project, "test", SPLIT_TEST)
    name, other = await ann.images(dataset, ["a"], ["b"])
    snapshots = SnapshotServiceStub(ann.client.channel)
    taken = await snapshots.CreateSnapshot(CreateSnapshotRequest(parent=project), metadata=metadata)
    await ann.add(name, "x")
    await stub.MoveImages(
        pb.MoveImagesRequest(parent=dataset, names=[name, other], destination=test), metadata=metadata
    )
    moved = name.replace(dataset, test)
    await ann.add(moved, "y")
    x, y, b = await ann.label(project, "x"), await ann.label(project, "y"), await ann.label(project, "b")
    await ann.labels.MergeLabel(label_service_pb2.MergeLabelRequest(name=x.name, into=y.name), metadata=metadata)
    await ann.labels.DeleteLabel(label_service_pb2.DeleteLabelRequest(name=y.name, force=True), metadata=metadata)
    await ann.labels.DeleteLabel(label_service_pb2.DeleteLabelRequest(name=b.name, force=True), metadata=metadata)
    await stub.BatchDeleteImages(pb.BatchDeleteImagesRequest(parent=test, names=[moved]), metadata=metadata)
    await snapshots.RestoreSnapshot(RestoreSnapshotRequest(name=taken.name), metadata=metadata)

    history = await ann.trail(project, resource=name)
    assert [change.action for change in reversed(history)] == [
        "images.upload",
        "annotations.create",
        "images.move",
        "annotations.create",
        "labels.merge",
        "labels.strip",
        "images.delete",
        "snapshots.restore_images",
    ]
    # The same under the name that it has had for a while, or in a project without it nothing.
    assert await ann.trail(project, resource=moved) == history
    assert await ann.trail(await ann.client.new_project(), resource=name) == []
    with Failure(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
        await ann.trail(project, resource=f"{name}/annotations/1")
    assert failure.fields == ["resource"]


async def test_what_failed_leaves_no_entry(ann: AnnotatingClient, dataset: str, project: str) -> None:
    (name,) = await ann.images(dataset, ["a"])
    before = await ann.trail(project)
    with Failure(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await ann.add(name, "x", (0, 0, 999, 1))
    with Failure(StatusCode.FAILED_PRECONDITION, "IN_USE"):
        await ann.client.stub.DeleteDataset(pb.DeleteDatasetRequest(name=dataset), metadata=ann.metadata)
    with Failure(StatusCode.FAILED_PRECONDITION, "IN_USE"):
        await ann.client.stub.DeleteProject(pb.DeleteProjectRequest(name=project), metadata=ann.metadata)
    # What changes nothing leaves none either.
    await ann.add(name, "a")
    assert await ann.trail(project) == before
