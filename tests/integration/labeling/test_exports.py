"""Exports by a real worker, and the way back: an import of an export gives the same annotations."""

import hashlib
import io
import json
import zipfile

import grpc
import pytest

from sightsmith.api.labeling.v1 import annotation_format_pb2 as formats
from sightsmith.api.labeling.v1 import import_export_service_pb2 as pb
from sightsmith.api.labeling.v1.dataset_pb2 import SPLIT_TEST
from sightsmith.api.labeling.v1.export_job_pb2 import ExportJob
from sightsmith.api.labeling.v1.image_pb2 import Image

from .labeling_client import Failure, LabelingClient, Sample
from .sample_images import jpeg
from .transfer_client import FAILED, SUCCEEDED, TransferClient, boxes_of, manifest, manifest_line

pytestmark = pytest.mark.usefixtures("worker")
PICTURES = {f"photos/{number}.jpg": jpeg(seed=number) for number in range(6)}
Said = dict[str, tuple[list[str], list[tuple[str, float, float, float, float]]]]


@pytest.fixture
def transfers(client: LabelingClient) -> TransferClient:
    return TransferClient(client)


@pytest.fixture
async def boxed(transfers: TransferClient, client: LabelingClient) -> str:
    """A project whose images have boxes, in both datasets; one has none."""
    project = await client.new_project()
    train = await client.new_dataset(project)
    test = await client.new_dataset(project, "test", SPLIT_TEST)
    names = sorted(PICTURES)
    await client.upload(train, [Sample(name, PICTURES[name], ()) for name in names[:4]])
    await client.upload(test, [Sample(name, PICTURES[name], ()) for name in names[4:]])
    for dataset, chosen in ((train, names[:3]), (test, names[4:])):
        lines = [
            manifest_line(f"s3://b/{name}", boxes=[("stem", 1, 2, 30, 20), ("stone, small", 5.5, 6.25, 7.5, 8)])
            for name in chosen
        ]
        job = await transfers.import_bytes(project, "boxes.manifest", manifest(lines), dataset=dataset)
        assert (job.state, job.result.updated_count) == (SUCCEEDED, len(chosen))
    return project


async def said(transfers: TransferClient, dataset: str) -> Said:
    """What is annotated on each image, by the SHA-256 of its bytes or by its source."""
    return {
        image.sha256 or image.source: (list(image.labels), sorted(boxes_of(image)))
        for image in await transfers.images(dataset)
    }


def files_of(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.testzip() is None
        return {name: opened.read(name) for name in opened.namelist()}


def is_close(found: Said, expected: Said) -> bool:
    """Whether boxes agree to a millionth of a pixel: some formats write shares of the image."""
    return found.keys() == expected.keys() and all(
        found[key][0] == labels
        and [label for label, *_ in found[key][1]] == [label for label, *_ in boxes]
        and all(
            box == pytest.approx(other, abs=1e-6) for (_, *box), (_, *other) in zip(found[key][1], boxes, strict=True)
        )
        for key, (labels, boxes) in expected.items()
    )


@pytest.mark.parametrize("name", ["GROUND_TRUTH", "COCO", "YOLO", "LABEL_STUDIO", "CVAT", "PASCAL_VOC", "CSV"])
async def test_an_import_of_an_export_says_the_same(
    transfers: TransferClient, client: LabelingClient, boxed: str, name: str
) -> None:
    job = await transfers.export(boxed, formats.AnnotationFormat.Value(f"ANNOTATION_FORMAT_{name}"), with_images=True)
    assert job.state == SUCCEEDED, job.error
    archive = await transfers.archive(job)
    result = job.result
    assert (result.image_count, result.box_count, result.label_count, result.packed_image_count) == (6, 10, 0, 6)
    assert (result.size_bytes, result.sha256) == (len(archive), hashlib.sha256(archive).hexdigest())
    assert set(PICTURES.values()) <= set(files_of(archive).values())

    other = await client.new_project()
    again = await transfers.import_bytes(other, "export.zip", archive)
    assert again.state == SUCCEEDED, await transfers.findings(again)
    assert (again.result.created_count, again.result.rejected_count) == (6, 0), await transfers.findings(again)
    for split in ("train", "test"):
        expected = await said(transfers, f"{boxed}/datasets/{split}")
        assert is_close(await said(transfers, f"{other}/datasets/{split}"), expected), split


@pytest.mark.parametrize("name", ["FOLDERS", "YOLO"])
async def test_labels_of_whole_images_come_back_from_folders(
    transfers: TransferClient, client: LabelingClient, dataset: str, project: str, name: str
) -> None:
    samples = [Sample("a/1.jpg", jpeg(seed=1), ("cat",)), Sample("b/1.jpg", jpeg(seed=2), ("dog",))]
    await client.upload(dataset, samples)
    job = await transfers.export(project, formats.AnnotationFormat.Value(f"ANNOTATION_FORMAT_{name}"), with_images=True)
    assert job.state == SUCCEEDED, job.error
    other = await client.new_project()
    again = await transfers.import_bytes(other, "export.zip", await transfers.archive(job))
    assert again.state == SUCCEEDED, again.error
    assert await said(transfers, f"{other}/datasets/train") == await said(transfers, dataset)


@pytest.mark.parametrize("name", ["GROUND_TRUTH", "COCO", "YOLO", "LABEL_STUDIO", "CVAT", "PASCAL_VOC", "CSV"])
async def test_an_export_by_reference_finds_its_images_again(
    transfers: TransferClient, client: LabelingClient, boxed: str, name: str
) -> None:
    job = await transfers.export(boxed, formats.AnnotationFormat.Value(f"ANNOTATION_FORMAT_{name}"))
    assert job.state == SUCCEEDED, job.error
    archive = await transfers.archive(job)
    assert not any(name.endswith(".jpg") for name in files_of(archive))
    again = await transfers.import_bytes(boxed, "export.zip", archive)
    assert (again.state, again.result.unchanged_count) == (SUCCEEDED, 6), await transfers.findings(again)


async def test_only_what_is_asked_for_is_exported(
    transfers: TransferClient, client: LabelingClient, dataset: str, project: str
) -> None:
    samples = [Sample(f"{at}.jpg", jpeg(seed=at), labels) for at, labels in enumerate([("cat",), ("dog",), ()])]
    await client.upload(dataset, samples)
    for fields, count in (
        ({}, 3),
        ({"labelled_only": True}, 2),
        ({"labels": ["dog"]}, 1),
        ({"labels": ["dog"], "dataset": dataset}, 1),
        ({"dataset": dataset}, 3),
    ):
        job = await transfers.export(project, formats.ANNOTATION_FORMAT_GROUND_TRUTH, **fields)
        assert (job.state, job.result.image_count) == (SUCCEEDED, count), fields


async def test_names_are_safe_and_unlike(
    transfers: TransferClient, client: LabelingClient, dataset: str, project: str
) -> None:
    sources = ["../../etc/passwd", "a/x.jpg", "A/X.jpg", "C:\\temp\\x.jpg", "CON.jpg", "née/ü?.jpg", "x" * 1000]
    await client.upload(dataset, [Sample(name, jpeg(seed=at), ()) for at, name in enumerate(sources)])
    job = await transfers.export(project, formats.ANNOTATION_FORMAT_COCO, with_images=True)
    assert job.state == SUCCEEDED, job.error
    names = [name for name in files_of(await transfers.archive(job)) if not name.endswith(".json")]
    assert len({name.casefold() for name in names}) == len(sources)
    for name in names:
        parts = name.split("/")
        assert ".." not in parts
        assert "" not in parts
        assert not set(name) & set(':*?"<>|\\')
        assert all(len(part.encode()) <= 255 and part.split(".")[0].upper() != "CON" for part in parts)


async def test_what_a_format_cannot_say_fails_clearly(
    transfers: TransferClient, client: LabelingClient, dataset: str, project: str
) -> None:
    await client.upload(dataset, [Sample("1.jpg", jpeg(seed=1), ("cat", "dog"))])
    job = await transfers.export(project, formats.ANNOTATION_FORMAT_FOLDERS, with_images=True)
    assert job.state == FAILED
    assert "'1.jpg' cannot be exported as labelled folders: it has boxes or several labels" in job.error.message
    with Failure(grpc.StatusCode.FAILED_PRECONDITION, "WRONG_STATE"):
        await transfers.archive(job)


async def test_images_without_bytes_are_told_of_and_not_packed(
    transfers: TransferClient, dataset: str, project: str
) -> None:
    await transfers.import_bytes(project, "a.manifest", manifest([manifest_line("s3://shop/1.jpg", "ripe")]))
    assert [image.state for image in await transfers.images(dataset)] == [Image.STATE_PENDING]
    job = await transfers.export(project, formats.ANNOTATION_FORMAT_GROUND_TRUTH, with_images=True)
    assert (job.state, job.result.image_count, job.result.packed_image_count) == (SUCCEEDED, 1, 0)
    (written,) = files_of(await transfers.archive(job)).values()
    assert json.loads(written)["source-ref"] == "s3://shop/1.jpg"


async def test_exports_that_make_no_sense_are_refused(
    transfers: TransferClient, client: LabelingClient, dataset: str, project: str
) -> None:
    other = await client.new_project()
    for fields, field in (
        ({"format": formats.ANNOTATION_FORMAT_FOLDERS}, "export_job.with_images"),
        ({"format": formats.ANNOTATION_FORMAT_COCO, "dataset": f"{other}/datasets/train"}, "export_job.dataset"),
        ({"format": 99}, "export_job.format"),
    ):
        request = pb.CreateExportJobRequest(parent=project, export_job=ExportJob(**fields))
        with Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
            await transfers.stub.CreateExportJob(request, metadata=transfers.metadata)
        assert failure.fields == [field]
    unknown = ExportJob(format=formats.ANNOTATION_FORMAT_COCO, labels=["nothing"])
    with Failure(grpc.StatusCode.NOT_FOUND, "NOT_FOUND") as failure:
        request = pb.CreateExportJobRequest(parent=project, export_job=unknown)
        await transfers.stub.CreateExportJob(request, metadata=transfers.metadata)
    assert f"the label 'nothing' of {project} does not exist" in failure.error.message
    missing = ExportJob(format=formats.ANNOTATION_FORMAT_COCO, dataset=f"{project}/datasets/nothing")
    with Failure(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        request = pb.CreateExportJobRequest(parent=project, export_job=missing)
        await transfers.stub.CreateExportJob(request, metadata=transfers.metadata)
