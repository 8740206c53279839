"""Counts of datasets and labels: exact whoever writes what at the same time."""

import asyncio
from collections import Counter
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc import code_pb2
from sqlalchemy import func, select, update

from sightsmith.api.labeling.v1 import annotation_service_pb2, label_service_pb2
from sightsmith.api.labeling.v1 import labeling_service_pb2 as pb
from sightsmith.api.labeling.v1.annotation_pb2 import Annotation
from sightsmith.api.labeling.v1.dataset_pb2 import SPLIT_TEST
from sightsmith.api.labeling.v1.image_pb2 import Image
from sightsmith.database import Database
from sightsmith.rpc.channel import error_of
from sightsmith.stack import Endpoints
from sightsmith_labeling.tables import (
    DatasetRow,
    ImageLabelRow,
    ImageRow,
    ImageTallyRow,
    LabelTallyRow,
    ProjectRow,
)
from sightsmith_labeling.tally_folding import TallyFolding

from .annotating_client import AnnotatingClient, annotation
from .labeling_client import LabelingClient


@pytest.fixture
def ann(client: LabelingClient) -> AnnotatingClient:
    return AnnotatingClient(client)


@pytest.fixture
async def database(servers: Endpoints) -> Any:
    database = Database(servers.database_url)
    yield database
    await database.close()


async def images_of(client: LabelingClient, dataset: str) -> list[Image]:
    request = pb.ListImagesRequest(parent=dataset, page_size=1000)
    return list((await client.stub.ListImages(request, metadata=client.metadata)).images)


async def assert_exact(client: LabelingClient, dataset: str, database: Database) -> None:
    """Compares what is counted with a recount of all images, and of what the tables say."""
    counted, images = await client.dataset(dataset), await images_of(client, dataset)
    labels, boxes = Counter[str](), Counter[str]()
    for image in images:
        labels.update({one.label for one in image.annotations})
        boxes.update(one.label for one in image.annotations if one.HasField("box"))
    assert counted.image_count == len(images)
    assert counted.labelled_image_count == sum(bool(image.annotations) for image in images)
    assert counted.unready_image_count == counted.erroneous_image_count == 0
    expected = [(label, count, boxes[label]) for label, count in sorted(labels.items())]
    assert [(one.label, one.image_count, one.box_count) for one in counted.label_counts] == expected
    key = (
        select(DatasetRow.key).join(ProjectRow).where(func.concat("projects/", ProjectRow.id) == dataset.split("/d")[0])
    )
    async with database.transaction() as session:
        carried = select(ImageRow.dataset, func.unnest(ImageRow.labels), ImageRow.create_time, ImageRow.sequence)
        rows = select(
            ImageLabelRow.dataset, ImageLabelRow.label, ImageLabelRow.create_time, ImageLabelRow.sequence
        ).where(ImageLabelRow.dataset.in_(key))
        assert set(await session.execute(carried.where(ImageRow.dataset.in_(key)))) == set(await session.execute(rows))


async def test_counts_stay_exact_under_many_writers(
    ann: AnnotatingClient, dataset: str, project: str, database: Database
) -> None:
    client = ann.client
    test = await client.new_dataset(project, "test", SPLIT_TEST)
    start = await ann.images(dataset, *[["a", "b"] if number % 2 else ["c"] for number in range(24)])
    folding = TallyFolding(database)
    done = asyncio.Event()

    async def fold() -> None:
        while not done.is_set():
            await folding.fold(left_alone=0)
            await asyncio.sleep(0.02)

    async def tolerate(call: Any) -> None:
        """What another writer moved or deleted first is not there any more."""
        try:
            await call
        except grpc.RpcError as error:
            if error_of(error).code != code_pb2.NOT_FOUND:
                raise

    async def annotate() -> None:
        for number, name in enumerate(start):
            await tolerate(ann.add(name, "d" if number % 3 else "a", (number, 0, 1, 1)))

    async def clear() -> None:
        for name in start[::3]:
            await tolerate(ann.replace(name))

    async def upload() -> None:
        for number in range(3):
            await ann.images(dataset, *[["a"], [], ["e"]], first=100 + 3 * number)

    async def move() -> None:
        for name in start[1::4]:
            request = pb.MoveImagesRequest(parent=dataset, names=[name], destination=test)
            await tolerate(client.stub.MoveImages(request, metadata=client.metadata))

    async def delete() -> None:
        for name in start[2::4]:
            await tolerate(client.stub.DeleteImage(pb.DeleteImageRequest(name=name), metadata=client.metadata))

    async def merge() -> None:
        c, b = await ann.label(project, "c"), await ann.label(project, "b")
        request = label_service_pb2.MergeLabelRequest(name=c.name, into=b.name)
        await ann.labels.MergeLabel(request, metadata=ann.metadata)
        a = await ann.label(project, "a")
        gone = label_service_pb2.DeleteLabelRequest(name=a.name, force=True)
        await ann.labels.DeleteLabel(gone, metadata=ann.metadata)

    folder = asyncio.create_task(fold())
    await asyncio.gather(annotate(), clear(), upload(), move(), delete(), merge())
    done.set()
    await folder
    assert len(await images_of(client, test)) == 6
    for name in (dataset, test):
        await assert_exact(client, name, database)


async def test_an_image_that_was_corrected_has_no_errors_any_more(
    ann: AnnotatingClient, client: LabelingClient, dataset: str, database: Database
) -> None:
    names = await ann.images(dataset, *([["cat"]] * 4))
    problem = {"code": "ERROR_INVALID_BOUNDING_BOX", "message": "is outside", "path": "bb.annotations[0]"}
    keys = select(DatasetRow.key).where(
        func.concat("projects/", DatasetRow.project, "/datasets/", DatasetRow.id) == dataset
    )
    async with database.transaction() as session:
        await session.execute(update(ImageRow).where(ImageRow.dataset.in_(keys)).values(problems=[problem]))
    assert (await client.dataset(dataset)).erroneous_image_count == 4
    await ann.replace(names[0], annotation("cat"))
    await ann.add(names[1], "paw", (1, 2, 3, 4))
    changed = annotation_service_pb2.UpdateAnnotationRequest(
        annotation=Annotation(name=f"{names[2]}/annotations/1", label="dog"), update_mask=FieldMask(paths=["label"])
    )
    await ann.annotations.UpdateAnnotation(changed, metadata=ann.metadata)
    removed = annotation_service_pb2.DeleteAnnotationRequest(name=f"{names[3]}/annotations/1")
    await ann.annotations.DeleteAnnotation(removed, metadata=ann.metadata)
    assert (await client.dataset(dataset)).erroneous_image_count == 0
    assert not any([(await ann.image(name)).problems for name in names])


async def test_folding_leaves_one_tally_of_each(ann: AnnotatingClient, dataset: str, database: Database) -> None:
    (name, gone) = await ann.images(dataset, ["a"], ["b"])
    for number in range(5):
        await ann.add(name, "a", (number, 0, 1, 1))
    await ann.client.stub.DeleteImage(pb.DeleteImageRequest(name=gone), metadata=ann.metadata)
    before = await ann.client.dataset(dataset)
    await TallyFolding(database).fold(left_alone=0)
    assert await ann.client.dataset(dataset) == before
    key = (
        select(DatasetRow.key)
        .where(func.concat("projects/", DatasetRow.project, "/datasets/", DatasetRow.id) == dataset)
        .scalar_subquery()
    )
    async with database.transaction() as session:
        images = select(ImageTallyRow.images, ImageTallyRow.labelled).where(ImageTallyRow.dataset == key)
        labels = select(LabelTallyRow.images, LabelTallyRow.boxes).where(LabelTallyRow.dataset == key)
        assert [tuple(row) for row in await session.execute(images)] == [(1, 1)]
        assert [tuple(row) for row in await session.execute(labels)] == [(1, 5)]


async def test_nothing_is_left_of_what_was_deleted(
    ann: AnnotatingClient, dataset: str, project: str, database: Database
) -> None:
    await ann.images(dataset, ["a"], ["b"])
    keys = select(DatasetRow.key).where(func.concat("projects/", DatasetRow.project) == project)
    async with database.transaction() as session:
        (key,) = (await session.scalars(keys)).all()
    await ann.client.stub.DeleteProject(pb.DeleteProjectRequest(name=project, force=True), metadata=ann.metadata)
    async with database.transaction() as session:
        for table in (ImageRow, ImageLabelRow, ImageTallyRow, LabelTallyRow):
            assert not (await session.scalars(select(func.count()).where(table.dataset == key))).one()
