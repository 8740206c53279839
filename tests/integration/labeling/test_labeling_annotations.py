"""Putting annotations on images, alone and together, and losing none."""

import asyncio
import uuid

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode

from sightsmith.api.labeling.v1 import annotation_service_pb2 as pb
from sightsmith.api.labeling.v1 import labeling_service_pb2
from sightsmith.api.labeling.v1.annotation_pb2 import Annotation, BoundingBox
from sightsmith.rpc.channel import error_of

from .annotating_client import AnnotatingClient, annotation, said
from .labeling_client import Failure, LabelingClient


@pytest.fixture
def ann(client: LabelingClient) -> AnnotatingClient:
    return AnnotatingClient(client, actor="ann")


async def test_a_label_and_a_box_are_put_on_an_image(ann: AnnotatingClient, dataset: str) -> None:
    (name,) = await ann.images(dataset, [])
    before = await ann.image(name)
    label = await ann.add(name, "cat")
    box = await ann.add(
        name, "paw", (1.5, 2, 10, 20.25), confidence=0.5, author="model-7", origin=Annotation.ORIGIN_MODEL
    )
    image = await ann.image(name)
    assert said(image) == [("cat", ()), ("paw", (1.5, 2, 10, 20.25))]
    assert list(image.labels) == ["cat"]
    assert (label.name, box.name) == (f"{name}/annotations/1", f"{name}/annotations/2")
    assert (label.origin, label.author, label.HasField("confidence")) == (Annotation.ORIGIN_PERSON, "ann", False)
    assert (box.origin, box.author, box.confidence) == (Annotation.ORIGIN_MODEL, "model-7", 0.5)
    assert before.etag != label.etag != box.etag == image.etag
    assert image.update_time.ToDatetime() > before.update_time.ToDatetime()
    found = await ann.annotations.GetAnnotation(pb.GetAnnotationRequest(name=box.name), metadata=ann.metadata)
    assert found == box


async def test_what_an_image_says_already_is_not_said_twice(ann: AnnotatingClient, dataset: str) -> None:
    (name,) = await ann.images(dataset, ["cat"])
    before = await ann.image(name)
    same = await ann.add(name, "cat")
    assert same.origin == Annotation.ORIGIN_IMPORT
    assert await ann.image(name) == before


async def test_an_annotation_is_changed_and_keeps_its_name(ann: AnnotatingClient, dataset: str) -> None:
    (name,) = await ann.images(dataset, ["cat", "dog"])
    there = (await ann.image(name)).annotations[0]
    box = BoundingBox(left=1, top=1, width=2, height=2)

    async def update(*fields: str, **values: object) -> Annotation:
        changed = Annotation(name=there.name, **values)  # type: ignore[arg-type]
        request = pb.UpdateAnnotationRequest(annotation=changed, update_mask=FieldMask(paths=fields))
        return await ann.annotations.UpdateAnnotation(request, metadata=ann.metadata)

    boxed = await update(box=box)
    assert (boxed.name, boxed.label, boxed.box, boxed.author) == (there.name, "cat", box, "ann")
    renamed = await update("label", label="lion", box=BoundingBox(left=9))
    assert (renamed.label, renamed.box) == ("lion", box)
    assert not (await update("box")).HasField("box")
    with Failure(StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS") as failure:
        await update("label", label="dog")
    assert failure.error.metadata["name"].endswith("/annotations/2")
    with Failure(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
        await update("create_time")
    assert failure.fields == ["update_mask"]
    assert said(await ann.image(name)) == [("lion", ()), ("dog", ())]


async def test_ids_are_not_used_again(ann: AnnotatingClient, dataset: str) -> None:
    (name,) = await ann.images(dataset, ["cat"])
    gone = await ann.add(name, "dog")
    await ann.annotations.DeleteAnnotation(pb.DeleteAnnotationRequest(name=gone.name), metadata=ann.metadata)
    assert (await ann.add(name, "cow")).name == f"{name}/annotations/3"
    with Failure(StatusCode.NOT_FOUND, "NOT_FOUND") as failure:
        await ann.annotations.DeleteAnnotation(pb.DeleteAnnotationRequest(name=gone.name), metadata=ann.metadata)
    assert failure.error.metadata == {"name": gone.name}


async def test_an_editor_saves_all_annotations(ann: AnnotatingClient, dataset: str) -> None:
    (name,) = await ann.images(dataset, ["cat", "dog"])
    before = await ann.image(name)
    saved = await ann.replace(name, annotation("dog"), annotation("cow", (0, 0, 5, 5)), etag=before.etag)
    assert said(saved) == [("dog", ()), ("cow", (0, 0, 5, 5))]
    assert saved.annotations[0] == before.annotations[1]
    with Failure(StatusCode.ABORTED, "ETAG_MISMATCH") as failure:
        await ann.replace(name, etag=before.etag)
    assert failure.error.metadata == {"name": name, "etag": saved.etag}
    assert said(await ann.replace(name, etag=saved.etag)) == []


async def test_annotations_are_listed_in_pages(ann: AnnotatingClient, dataset: str) -> None:
    (name,) = await ann.images(dataset, ["a", "b", "c"])
    request = pb.ListAnnotationsRequest(parent=name, page_size=2)
    first = await ann.annotations.ListAnnotations(request, metadata=ann.metadata)
    request.page_token = first.next_page_token
    second = await ann.annotations.ListAnnotations(request, metadata=ann.metadata)
    assert [[one.label for one in page.annotations] for page in (first, second)] == [["a", "b"], ["c"]]
    assert second.next_page_token == ""


@pytest.mark.parametrize(
    ("wrong", "fields"),
    [
        (annotation(""), ["annotations[0].label"]),
        (annotation("a\nb"), ["annotations[0].label"]),
        (annotation("x" * 256), ["annotations[0].label"]),
        (annotation("x", confidence=1.01), ["annotations[0].confidence"]),
        (annotation("x", confidence=float("nan")), ["annotations[0].confidence"]),
        (annotation("x", author="a\0"), ["annotation.author"]),
        (annotation("x", (-1, 0, 5, 5)), ["annotations[0].box.left"]),
        (annotation("x", (0, 0, 0, 5)), ["annotations[0].box.width"]),
        (annotation("x", (0, 40, 5, 9)), ["annotations[0].box.height"]),
        (
            annotation("x", (60, 0, float("inf"), float("nan"))),
            ["annotations[0].box.width", "annotations[0].box.height"],
        ),
        (annotation("x", origin=9), ["annotation.origin"]),
    ],
)
async def test_what_is_wrong_is_named(
    ann: AnnotatingClient, dataset: str, wrong: Annotation, fields: list[str]
) -> None:
    (name,) = await ann.images(dataset, ["cat"])
    with Failure(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
        request = pb.CreateAnnotationRequest(parent=name, annotation=wrong)
        await ann.annotations.CreateAnnotation(request, metadata=ann.metadata)
    assert failure.fields == fields
    assert said(await ann.image(name)) == [("cat", ())]


async def test_a_batch_is_all_or_nothing(ann: AnnotatingClient, dataset: str) -> None:
    names = await ann.images(dataset, [], [], ["x"])

    async def create(*annotations: Annotation) -> pb.BatchCreateAnnotationsResponse:
        requests = [
            pb.CreateAnnotationRequest(parent=name, annotation=one)
            for name, one in zip(names, annotations, strict=True)
        ]
        request = pb.BatchCreateAnnotationsRequest(parent=dataset, requests=requests)
        return await ann.annotations.BatchCreateAnnotations(request, metadata=ann.metadata)

    with Failure(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
        await create(annotation("a"), annotation("b", (0, 0, 999, 1)), annotation(" "))
    assert failure.fields == [f"{names[1]}: annotations[0].box.width", f"{names[2]}: annotations[0].label"]
    assert [said(await ann.image(name)) for name in names] == [[], [], [("x", ())]]

    created = (await create(annotation("a"), annotation("b"), annotation("c"))).annotations
    assert [one.label for one in created] == ["a", "b", "c"]
    updates = [
        pb.UpdateAnnotationRequest(annotation=Annotation(name=one.name, label=f"{one.label}!", etag=one.etag))
        for one in created
    ]
    request = pb.BatchUpdateAnnotationsRequest(parent=dataset, requests=updates)
    updated = (await ann.annotations.BatchUpdateAnnotations(request, metadata=ann.metadata)).annotations
    assert [one.label for one in updated] == ["a!", "b!", "c!"]
    with Failure(StatusCode.ABORTED, "ETAG_MISMATCH"):
        await ann.annotations.BatchUpdateAnnotations(request, metadata=ann.metadata)

    removals = [pb.DeleteAnnotationRequest(name=one.name) for one in updated[:2]]
    removal = pb.BatchDeleteAnnotationsRequest(parent=dataset, requests=removals)
    await ann.annotations.BatchDeleteAnnotations(removal, metadata=ann.metadata)
    assert [said(await ann.image(name)) for name in names] == [[], [], [("x", ()), ("c!", ())]]


async def test_a_batch_is_about_one_dataset_and_not_too_long(ann: AnnotatingClient, dataset: str) -> None:
    elsewhere = await ann.client.new_dataset()
    request = pb.CreateAnnotationRequest(parent=f"{elsewhere}/images/x", annotation=annotation("a"))
    batch = pb.BatchCreateAnnotationsRequest(parent=dataset, requests=[request])
    with Failure(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
        await ann.annotations.BatchCreateAnnotations(batch, metadata=ann.metadata)
    assert failure.fields == ["requests[0]"]
    batch.requests.extend([request] * 1000)
    with Failure(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
        await ann.annotations.BatchCreateAnnotations(batch, metadata=ann.metadata)
    assert failure.fields == ["requests"]


@pytest.mark.parametrize("tail", ["/images/none/annotations/1", "/images/none/annotations/01", "/images/none"])
async def test_what_is_not_there_is_named(ann: AnnotatingClient, dataset: str, tail: str) -> None:
    name = dataset + tail
    with Failure(StatusCode.NOT_FOUND, "NOT_FOUND"):
        if "annotations" in tail:
            await ann.annotations.GetAnnotation(pb.GetAnnotationRequest(name=name), metadata=ann.metadata)
        else:
            await ann.add(name, "cat")


async def test_two_people_lose_nothing(client: LabelingClient, dataset: str) -> None:
    """Many clients read the same image, each adds one box to what it read and saves all of it."""
    writers, edits = 8, 4
    people = [AnnotatingClient(client, actor=f"person-{number}") for number in range(writers)]
    (name,) = await people[0].images(dataset, ["start"])
    refused = 0

    async def work(number: int) -> None:
        nonlocal refused
        for edit in range(edits):
            mine = annotation(f"box-{number}", (edit, number, 1, 1))
            while True:
                read = await people[number].image(name)
                try:
                    await people[number].replace(name, *read.annotations, mine, etag=read.etag)
                    break
                except grpc.RpcError as error:
                    if error_of(error).reason != "ETAG_MISMATCH":
                        raise
                    refused += 1

    await asyncio.gather(*map(work, range(writers)))
    image = await people[0].image(name)
    expected = {(f"box-{number}", (edit, number, 1, 1)) for number in range(writers) for edit in range(edits)}
    assert set(said(image)) == expected | {("start", ())}
    assert {one.author for one in image.annotations if one.HasField("box")} == {f"person-{n}" for n in range(writers)}
    # Otherwise nobody ever collided, and nothing was shown.
    assert refused > 0


async def test_single_edits_without_etags_lose_nothing(ann: AnnotatingClient, dataset: str) -> None:
    (name,) = await ann.images(dataset, ["start"])
    extra = [(await ann.add(name, f"old-{number}")).name for number in range(8)]
    await asyncio.gather(
        *(ann.add(name, "box", (number, 0, 1, 1)) for number in range(24)),
        *(
            ann.annotations.DeleteAnnotation(pb.DeleteAnnotationRequest(name=one), metadata=ann.metadata)
            for one in extra
        ),
    )
    image = await ann.image(name)
    assert set(said(image)) == {("start", ())} | {("box", (number, 0, 1, 1)) for number in range(24)}
    assert len({one.name for one in image.annotations}) == 25


async def test_batches_over_the_same_images_do_not_block_each_other(ann: AnnotatingClient, dataset: str) -> None:
    names = await ann.images(dataset, *[[] for _ in range(12)])

    async def batch(number: int) -> None:
        # Every other one goes the other way round.
        order = names if number % 2 else names[::-1]
        requests = [pb.CreateAnnotationRequest(parent=name, annotation=annotation(f"l{number}")) for name in order]
        request = pb.BatchCreateAnnotationsRequest(parent=dataset, requests=requests)
        await ann.annotations.BatchCreateAnnotations(request, metadata=ann.metadata)

    await asyncio.gather(*map(batch, range(10)))
    request = labeling_service_pb2.BatchGetImagesRequest(parent=dataset, names=names)
    images = (await ann.client.stub.BatchGetImages(request, metadata=ann.metadata)).images
    assert [set(image.labels) for image in images] == [{f"l{number}" for number in range(10)}] * 12


async def test_a_name_that_is_no_name_is_refused(ann: AnnotatingClient) -> None:
    with Failure(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
        await ann.add(f"projects/{uuid.uuid4().hex}", "cat")
    assert failure.fields == ["parent"]
