"""Uploads beside the bytes: boxes in the header, thumbnails, the audit trail, and clients that say nothing."""

import asyncio
import io
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from grpc import StatusCode
from PIL import Image as PillowImage
from sqlalchemy import select, text

from sightsmith.api.labeling.v1 import change_service_pb2
from sightsmith.api.labeling.v1 import labeling_service_pb2 as pb
from sightsmith.api.labeling.v1.annotation_pb2 import Annotation, BoundingBox
from sightsmith.api.labeling.v1.change_service_pb2_grpc import ChangeServiceStub
from sightsmith.database import Database
from sightsmith.images import ImageLimits
from sightsmith.objects import Objects, image_key, open_object_store, thumbnail_key
from sightsmith.settings import Settings
from sightsmith_labeling.intake import Intake, IntakeLimits
from sightsmith_labeling.measuring import Measuring
from sightsmith_labeling.tables import ImageRow
from tests.integration.conftest import TOKEN

from .conftest import MakeProcess
from .labeling_client import CREATED, REJECTED, UNCHANGED, Failure, LabelingClient, Sample, rejection
from .sample_images import jpeg, rotated_jpeg

BOX = BoundingBox(left=4, top=8.5, width=20, height=10)


async def upload(
    client: LabelingClient, dataset: str, *headers: pb.UploadImagesRequest.Header
) -> list[pb.UploadImagesResponse]:
    """Uploads the image of the seed that each source begins with."""

    async def requests() -> AsyncIterator[pb.UploadImagesRequest]:
        yield pb.UploadImagesRequest(parent=dataset)
        for header in headers:
            yield pb.UploadImagesRequest(header=header)
            yield pb.UploadImagesRequest(chunk=jpeg(int(header.source.partition(".")[0])))

    return await client.send(requests())


def header(source: str, *annotations: Annotation, labels: tuple[str, ...] = ()) -> pb.UploadImagesRequest.Header:
    return pb.UploadImagesRequest.Header(source=source, labels=labels, annotations=annotations)


async def test_boxes_come_with_their_image(client: LabelingClient, dataset: str) -> None:
    model = Annotation(label="dog", origin=Annotation.ORIGIN_MODEL, author="projects/p/models/1", confidence=0.75)
    boxed = header("1.jpg", Annotation(label="wheel", box=BOX), model, labels=("cat", "dog"))
    (answer,) = await upload(client, dataset, boxed)
    assert answer.outcome == CREATED
    cat, dog, wheel = answer.image.annotations
    assert (cat.label, cat.origin, cat.HasField("box")) == ("cat", Annotation.ORIGIN_IMPORT, False)
    assert (dog.label, dog.origin, dog.author, dog.confidence) == ("dog", model.origin, model.author, 0.75)
    assert (wheel.label, wheel.origin, wheel.box) == ("wheel", Annotation.ORIGIN_IMPORT, BOX)
    assert list(answer.image.labels) == ["cat", "dog"]
    (again,) = await upload(client, dataset, boxed)
    assert (again.outcome, again.image) == (UNCHANGED, answer.image)
    (other,) = await upload(client, dataset, header("1.jpg", labels=("cat", "dog")))
    assert rejection(other).reason == "IMAGE_CONFLICTING_LABELS"
    assert "other boxes" in rejection(other).message


@pytest.mark.parametrize(
    ("annotation", "field"),
    [
        (Annotation(label="", box=BOX), "annotations[0].label"),
        (Annotation(label="cat", box=BoundingBox(left=60, width=10, height=5)), "annotations[0].box.width"),
        (Annotation(label="cat", box=BoundingBox(left=-1, width=10, height=5)), "annotations[0].box.left"),
        (Annotation(label="cat", box=BoundingBox(width=0, height=5)), "annotations[0].box.width"),
        (Annotation(label="cat", box=BoundingBox(width=float("nan"), height=5)), "annotations[0].box.width"),
        (Annotation(label="cat", confidence=1.5), "annotations[0].confidence"),
    ],
)
async def test_a_wrong_box_refuses_its_image_alone(
    client: LabelingClient, dataset: str, annotation: Annotation, field: str
) -> None:
    answers = await upload(client, dataset, header("1.jpg", annotation), header("2.jpg"))
    assert [answer.outcome for answer in answers] == [REJECTED, CREATED]
    assert [violation.field for violation in rejection(answers[0]).violations] == [field]
    assert (await client.dataset(dataset)).image_count == 1


async def test_a_thumbnail_is_small_and_upright(
    client: LabelingClient, dataset: str, server_settings: Settings
) -> None:
    samples = [Sample("large.jpg", jpeg(1, 800, 600)), Sample("lying.jpg", rotated_jpeg(2))]
    large, lying = [answer.image for answer in await client.upload(dataset, samples)]
    objects = Objects(open_object_store(server_settings.object_store_url))
    stored = await objects.get(thumbnail_key(large.sha256))
    assert await thumbnail(client, large.name) == stored
    assert size_of(stored) == (256, 192)
    assert size_of(await thumbnail(client, lying.name)) == (60, 80)
    # An image that came before there were thumbnails.
    await objects.delete(thumbnail_key(large.sha256))
    assert await thumbnail(client, large.name) == stored
    assert await objects.get(thumbnail_key(large.sha256)) == stored


async def test_old_images_are_measured_later(client: LabelingClient, dataset: str, server_settings: Settings) -> None:
    # Seeds that no other test has: the bytes of two of these images are spoilt for all who share the store.
    answers = await client.upload(dataset, [Sample(f"{seed}.jpg", jpeg(7_000_000 + seed)) for seed in range(3)])
    good, gone, broken = [answer.image.sha256 for answer in answers]
    database = Database(server_settings.database_url.get_secret_value())
    objects = Objects(open_object_store(server_settings.object_store_url))
    intake = Intake(objects, IntakeLimits(ImageLimits(), 256, 2))
    rows = select(ImageRow).where(ImageRow.sha256.in_([good, gone, broken]))
    try:
        async with database.transaction() as session:
            before = {row.sha256: row.signals for row in await session.scalars(rows)}
            forget = "UPDATE labeling.images SET signals = NULL, size_bytes = NULL WHERE sha256 = ANY(:images)"
            await session.execute(text(forget), {"images": [good, gone, broken]})
        await objects.delete(image_key(gone))
        await objects.put(image_key(broken), b"no image")
        while await Measuring(database, objects, intake).measure_some():
            pass
        async with database.transaction() as session:
            after = {row.sha256: row for row in await session.scalars(rows)}
    finally:
        intake.close()
        await database.close()
    assert before[good] is not None
    assert before[good].keys() == {"dhash", "brightness", "contrast", "sharpness"}
    assert (after[good].signals, after[good].size_bytes) == (before[good], len(jpeg(7_000_000)))
    assert not after[good].has_errors
    for sha256 in (gone, broken):
        assert after[sha256].signals is None
        assert [problem["code"] for problem in after[sha256].problems] == ["ERROR_INVALID_IMAGE"]


async def test_uploads_are_on_record(client: LabelingClient, dataset: str) -> None:
    async def as_actor(actor: str, seeds: range) -> None:
        async def requests() -> AsyncIterator[pb.UploadImagesRequest]:
            yield pb.UploadImagesRequest(parent=dataset)
            for seed in seeds:
                yield pb.UploadImagesRequest(header=header(f"{seed}.jpg"))
                yield pb.UploadImagesRequest(chunk=jpeg(seed))

        metadata = (*client.metadata, ("x-sightsmith-actor", actor))
        async for _ in client.stub.UploadImages(requests(), metadata=metadata):
            pass

    await asyncio.gather(as_actor("ann", range(7)), as_actor("bob", range(7, 20)))
    request = change_service_pb2.ListChangesRequest(parent=dataset.partition("/datasets/")[0])
    request.action = "images.upload"
    changes = (await ChangeServiceStub(client.channel).ListChanges(request, metadata=client.metadata)).changes
    counts = Counter[str]()
    for found in changes:
        counts[found.actor] += int(found.details["image_count"])
    assert counts == {"ann": 7, "bob": 13}
    assert {found.resource for found in changes} == {dataset}


async def test_an_idle_upload_is_ended(make_process: MakeProcess) -> None:
    process = make_process({"SIGHTSMITH_UPLOAD_IDLE_SECONDS": "0.5", "SIGHTSMITH_MAX_CONCURRENT_UPLOADS": "1"})
    process.start()
    client = LabelingClient(process.target, TOKEN)
    async with client.channel:
        dataset = await client.new_dataset()
        idle = client.stub.UploadImages(metadata=client.metadata)
        await idle.write(pb.UploadImagesRequest(parent=dataset))
        await idle.write(pb.UploadImagesRequest(header=header("1.jpg")))
        await idle.write(pb.UploadImagesRequest(chunk=jpeg(1)))
        await idle.write(pb.UploadImagesRequest(header=header("2.jpg")))
        # It holds the only turn, and gives it back.
        waiting = asyncio.create_task(client.upload(dataset, [Sample("3.jpg", jpeg(3))]))
        answers = []
        with Failure(StatusCode.DEADLINE_EXCEEDED, "TIMED_OUT"):
            async for answer in idle:
                answers.append(answer)
        assert [(answer.source, answer.outcome) for answer in answers] == [("1.jpg", CREATED)]
        assert [answer.outcome for answer in await asyncio.wait_for(waiting, 20)] == [CREATED]
    assert process.stop() == 0


async def thumbnail(client: LabelingClient, image: str) -> bytes:
    request = pb.DownloadThumbnailRequest(name=image)
    return (await client.stub.DownloadThumbnail(request, metadata=client.metadata)).jpeg


def size_of(data: bytes) -> tuple[int, int]:
    with PillowImage.open(io.BytesIO(data)) as image:
        assert image.format == "JPEG"
        return image.size
