"""Lists of images: filters, orders and pages."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode
from sqlalchemy import update

from sightsmith.api.labeling.v1 import labeling_service_pb2 as pb
from sightsmith.api.labeling.v1.annotation_pb2 import Annotation
from sightsmith.api.labeling.v1.image_pb2 import Image
from sightsmith.database import Database
from sightsmith.stack import Endpoints
from sightsmith_labeling.tables import ImageRow

from .annotating_client import AnnotatingClient, annotation
from .labeling_client import Failure, LabelingClient, Sample
from .sample_images import jpeg

SOURCES = ("b/1.jpg", "a/2.jpg", "c_3.png", "a/4%.jpg", "B/5.jpg", "unlabelled/6.jpg")


async def listed(
    client: LabelingClient, dataset: str, order_by: str = "", page_size: int = 100, **wanted: Any
) -> list[str]:
    """The sources of a list, page by page."""
    request = pb.ListImagesRequest(
        parent=dataset, filter=pb.ImageFilter(**wanted), order_by=order_by, page_size=page_size
    )
    found: list[str] = []
    while True:
        page = await client.stub.ListImages(request, metadata=client.metadata)
        assert len(page.images) <= page_size
        found += [image.source for image in page.images]
        if not (token := page.next_page_token):
            return found
        request.page_token = token


@pytest.fixture(scope="module")
async def six(client: LabelingClient, servers: Endpoints) -> str:
    """A dataset of six images that differ in whatever can be asked for. Tests only read it."""
    dataset = await client.new_dataset()
    labels: Sequence[Sequence[str]] = (["x"], ["x", "y"], ["y"], ["z"], ["x"], [])
    samples = [Sample(source, jpeg(n), tuple(labels[n])) for n, source in enumerate(SOURCES)]
    names = []
    for sample in samples:
        names += [answer.image.name for answer in await client.upload(dataset, [sample])]
    ann = AnnotatingClient(client, actor="ann")
    await ann.add(names[2], "z", (0, 0, 5, 5))
    await ann.add(names[3], "q", origin=Annotation.ORIGIN_MODEL, author="models/v1")
    database = Database(servers.database_url)
    async with database.transaction() as session:
        problem = [{"code": "ERROR_INVALID_BOUNDING_BOX", "message": "a box is outside", "path": "bb"}]
        found = ImageRow.id == names[4].rpartition("/")[2]
        await session.execute(update(ImageRow).where(found).values(problems=problem))
        pending = ImageRow.id == names[5].rpartition("/")[2]
        await session.execute(update(ImageRow).where(pending).values(state="pending", sha256=None))
    await database.close()
    return dataset


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, [0, 1, 2, 3, 4, 5]),
        ({"labels": ["x"]}, [0, 1, 4]),
        ({"labels": ["y", "z"]}, [1, 2, 3]),
        ({"labels": ["nobody says this"]}, []),
        ({"labelled": True}, [0, 1, 2, 3, 4]),
        ({"labelled": False}, [5]),
        ({"has_problems": True}, [4]),
        ({"has_problems": False}, [0, 1, 2, 3, 5]),
        ({"states": [Image.STATE_PENDING]}, [5]),
        ({"states": [Image.STATE_READY]}, [0, 1, 2, 3, 4]),
        ({"states": [Image.STATE_READY, Image.STATE_PENDING]}, [0, 1, 2, 3, 4, 5]),
        ({"source_contains": "a/"}, [1, 3]),
        ({"source_contains": "4%"}, [3]),
        ({"source_contains": "_"}, [2]),
        ({"source_contains": "/5"}, [4]),
        ({"origins": [Annotation.ORIGIN_PERSON]}, [2]),
        ({"origins": [Annotation.ORIGIN_MODEL, Annotation.ORIGIN_PERSON]}, [2, 3]),
        ({"authors": ["ann"]}, [2]),
        ({"authors": ["ann", "models/v1"]}, [2, 3]),
        ({"labels": ["x", "z"], "source_contains": "/", "labelled": True}, [0, 1, 3, 4]),
        ({"labels": ["x", "z"], "origins": [Annotation.ORIGIN_PERSON]}, [2]),
    ],
)
async def test_a_filter_finds_what_it_says(
    client: LabelingClient, six: str, wanted: dict[str, Any], expected: list[int]
) -> None:
    sources = [SOURCES[number] for number in expected]
    assert await listed(client, six, **wanted) == sources
    for size in (1, 2, 4):
        assert await listed(client, six, page_size=size, **wanted) == sources
        assert await listed(client, six, "create_time desc", size, **wanted) == sources[::-1]
        assert await listed(client, six, "source", size, **wanted) == sorted(sources)
        assert await listed(client, six, "source desc", size, **wanted) == sorted(sources, reverse=True)


async def test_images_are_found_by_time_and_by_bytes(client: LabelingClient, six: str) -> None:
    request = pb.ListImagesRequest(parent=six)
    images = (await client.stub.ListImages(request, metadata=client.metadata)).images
    assert await listed(client, six, created_after=images[2].create_time) == list(SOURCES[3:])
    assert await listed(client, six, sha256s=[images[1].sha256, images[4].sha256, "f" * 64]) == [SOURCES[1], SOURCES[4]]
    future = Timestamp()
    future.FromDatetime(datetime(2999, 1, 1, tzinfo=UTC))
    assert await listed(client, six, created_after=future) == []


@pytest.mark.parametrize(
    ("fields", "violation"),
    [
        ({"order_by": "size"}, "order_by"),
        ({"filter": pb.ImageFilter(states=[9])}, "filter.states"),  # type: ignore[list-item]
        ({"filter": pb.ImageFilter(origins=[9])}, "filter.origins"),  # type: ignore[list-item]
        ({"filter": pb.ImageFilter(source_contains="a\0")}, "filter.source_contains"),
        ({"filter": pb.ImageFilter(created_after=Timestamp(seconds=10**15))}, "filter.created_after"),
        ({"page_token": "WyJhIl0="}, "page_token"),
        ({"page_token": "WyJbMSwyXSJd"}, "page_token"),
        ({"page_token": "WyJbXCIyMDI2LTAxLTAxXCIsIDFdIl0="}, "page_token"),
    ],
)
async def test_what_is_wrong_with_a_list_is_named(
    client: LabelingClient, dataset: str, fields: dict[str, Any], violation: str
) -> None:
    with Failure(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
        await client.stub.ListImages(pb.ListImagesRequest(parent=dataset, **fields), metadata=client.metadata)
    assert failure.fields == [violation]


async def test_pages_stay_in_step_while_images_come_and_go(client: LabelingClient, dataset: str) -> None:
    ann = AnnotatingClient(client)
    await ann.images(dataset, *[["x"] for _ in range(6)])
    request = pb.ListImagesRequest(parent=dataset, page_size=6, filter=pb.ImageFilter(labels=["x"]))
    # Images of one upload are beside each other, in whichever order they became durable.
    before = (await client.stub.ListImages(request, metadata=client.metadata)).images
    request.page_size = 3
    first = await client.stub.ListImages(request, metadata=client.metadata)
    # The last image of the page goes, and one of the next; a new one comes.
    for image in before[2:4]:
        await client.stub.DeleteImage(pb.DeleteImageRequest(name=image.name), metadata=client.metadata)
    await ann.images(dataset, ["x"], first=50)
    request.page_token = first.next_page_token
    second = await client.stub.ListImages(request, metadata=client.metadata)
    assert [image.source for image in second.images] == [before[4].source, before[5].source, "050.jpg"]


async def test_several_images_are_read_at_once(client: LabelingClient, dataset: str) -> None:
    ann = AnnotatingClient(client)
    names = await ann.images(dataset, ["x"], ["y"], ["z"])
    request = pb.BatchGetImagesRequest(parent=dataset, names=names[::-1])
    answer = await client.stub.BatchGetImages(request, metadata=client.metadata)
    assert [image.name for image in answer.images] == names[::-1]
    request.names.append(f"{dataset}/images/none")
    with Failure(StatusCode.NOT_FOUND, "NOT_FOUND") as failure:
        await client.stub.BatchGetImages(request, metadata=client.metadata)
    assert failure.error.metadata == {"name": f"{dataset}/images/none"}


async def test_a_source_of_any_characters_pages_well(client: LabelingClient, dataset: str) -> None:
    sources = ["\u200bzero width", 'quo"te', "new\nline", "🐻" * 600, "🐻" * 599 + "x"]
    await client.upload(dataset, [Sample(source, jpeg(n)) for n, source in enumerate(sources)])
    assert sorted(await listed(client, dataset, "source", 1)) == sorted(sources)
    assert await listed(client, dataset, source_contains="🐻x") == []


async def test_an_image_that_is_moved_keeps_its_place_and_annotations(
    client: LabelingClient, project: str, dataset: str
) -> None:
    ann = AnnotatingClient(client)
    names = await ann.images(dataset, ["x"], ["y"])
    test = await client.new_dataset(project, "test", 2)  # type: ignore[arg-type]
    before = await ann.image(names[0])
    request = pb.MoveImagesRequest(parent=dataset, names=[names[0]], destination=test)
    (moved,) = (await client.stub.MoveImages(request, metadata=client.metadata)).images
    assert moved.name == names[0].replace(dataset, test)
    assert [one.label for one in moved.annotations] == ["x"]
    assert (moved.create_time, moved.sha256) == (before.create_time, before.sha256)
    assert await listed(client, test, labels=["x"]) == ["000.jpg"]
    assert await listed(client, dataset) == ["001.jpg"]
    with Failure(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await client.stub.MoveImages(request, metadata=client.metadata)
    await client.upload(test, [Sample("again.jpg", jpeg(77), ("y",))])
    await client.upload(dataset, [Sample("same.jpg", jpeg(77), ("y",))])
    same = [
        image
        for image in (
            await client.stub.ListImages(pb.ListImagesRequest(parent=dataset), metadata=client.metadata)
        ).images
        if image.source == "same.jpg"
    ]
    with Failure(StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS") as failure:
        request = pb.MoveImagesRequest(parent=dataset, names=[names[1], same[0].name], destination=test)
        await client.stub.MoveImages(request, metadata=client.metadata)
    assert failure.error.metadata["name"].startswith(f"{test}/images/")
    assert sorted(await listed(client, dataset)) == ["001.jpg", "same.jpg"]


async def test_a_source_is_corrected(client: LabelingClient, dataset: str) -> None:
    ann = AnnotatingClient(client)
    (name,) = await ann.images(dataset, ["x"])
    before = await ann.image(name)
    request = pb.UpdateImageRequest(image=Image(name=name, source="better.jpg", etag=before.etag))
    after = await client.stub.UpdateImage(request, metadata=client.metadata)
    assert (after.source, list(after.labels)) == ("better.jpg", ["x"])
    with Failure(StatusCode.ABORTED, "ETAG_MISMATCH"):
        await client.stub.UpdateImage(request, metadata=client.metadata)
    request.image.etag, request.image.source = "", "x" * 1025
    with Failure(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await client.stub.UpdateImage(request, metadata=client.metadata)
    with Failure(StatusCode.ABORTED, "ETAG_MISMATCH"):
        await client.stub.DeleteImage(pb.DeleteImageRequest(name=name, etag=before.etag), metadata=client.metadata)
    await ann.replace(name, annotation("y"), etag=after.etag)
