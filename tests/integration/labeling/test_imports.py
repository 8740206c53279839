"""Imports by a real worker into a real database."""

import hashlib
import uuid
from collections import Counter

import grpc
import pytest

from sightsmith.api.labeling.v1 import annotation_format_pb2 as formats
from sightsmith.api.labeling.v1 import import_export_service_pb2 as pb
from sightsmith.api.labeling.v1.dataset_pb2 import SPLIT_TEST
from sightsmith.api.labeling.v1.image_pb2 import Image
from sightsmith.api.labeling.v1.import_job_pb2 import ImportJob
from sightsmith.api.labeling.v1.labeling_service_pb2 import ListDatasetsRequest

from .labeling_client import Failure, LabelingClient, Sample
from .sample_images import jpeg
from .transfer_client import (
    FAILED,
    SUCCEEDED,
    TransferClient,
    boxes_of,
    count,
    counts,
    labels_of,
    manifest,
    manifest_line,
    zipped,
)

pytestmark = pytest.mark.usefixtures("worker")
BUCKET = "s3://shop/images"


@pytest.fixture
def transfers(client: LabelingClient) -> TransferClient:
    return TransferClient(client)


async def test_a_manifest_is_imported_by_reference(transfers: TransferClient, dataset: str, project: str) -> None:
    lines = [
        manifest_line(f"{BUCKET}/1.jpg", "ripe"),
        manifest_line(f"{BUCKET}/2.jpg", "ripe", "large", boxes=[("stone", 10, 20, 100.5, 50)]),
        manifest_line(f"{BUCKET}/3.jpg"),
    ]
    job = await transfers.import_bytes(project, "labels.manifest", manifest(lines))
    assert job.state == SUCCEEDED, job.error
    assert job.result.format == formats.ANNOTATION_FORMAT_GROUND_TRUTH
    assert counts(job) == count(read=3, created=3)
    assert (job.progress.phase, job.progress.done_count, job.progress.total_count) == ("importing", 3, 3)
    images = {image.source: image for image in await transfers.images(dataset)}
    assert {source: list(image.labels) for source, image in images.items()} == {
        f"{BUCKET}/1.jpg": ["ripe"],
        f"{BUCKET}/2.jpg": ["large", "ripe"],
        f"{BUCKET}/3.jpg": [],
    }
    assert boxes_of(images[f"{BUCKET}/2.jpg"]) == [("stone", 10, 20, 100.5, 50)]
    assert (await transfers.labeling.dataset(dataset)).labelled_image_count == 2


async def test_an_import_again_changes_nothing(transfers: TransferClient, dataset: str, project: str) -> None:
    lines = manifest(manifest_line(f"{BUCKET}/{number}.jpg", "ripe") for number in range(50))
    await transfers.import_bytes(project, "labels.manifest", lines)
    before = {image.name: image.etag for image in await transfers.images(dataset)}
    again = await transfers.import_bytes(
        project, "labels.manifest", lines, existing_images=ImportJob.EXISTING_IMAGES_KEEP
    )
    assert counts(again) == count(read=50, unchanged=50)
    assert len(before) == 50
    assert {image.name: image.etag for image in await transfers.images(dataset)} == before


async def test_what_is_wrong_is_told_by_line(transfers: TransferClient, dataset: str, project: str) -> None:
    lines = [
        manifest_line(f"{BUCKET}/1.jpg", "ripe"),
        "{not json",
        manifest_line(f"{BUCKET}/1.jpg", "unripe"),
        manifest_line(f"{BUCKET}/2.jpg", "ripe", boxes=[("stone", 630, 20, 100, 50)]),
    ]
    job = await transfers.import_bytes(project, "labels.manifest", manifest(lines), max_rejected_fraction=0.5)
    assert job.state == SUCCEEDED, job.error
    assert counts(job) == count(read=4, created=2, rejected=2, problems=1)
    found = [(finding.code, finding.line, finding.file) for finding in await transfers.findings(job)]
    assert sorted(found, key=lambda one: one[1])[:2] == [
        ("ERROR_INVALID_JSON_LINE", 2, "labels.manifest"),
        ("ERROR_DUPLICATE_SOURCE_REF", 3, "labels.manifest"),
    ]
    assert ("ERROR_INVALID_BOUNDING_BOX", 4, "labels.manifest") in found
    assert [line["code"] for line in await transfers.report(job)] == [code for code, *_ in found]
    assert labels_of(await transfers.images(dataset))[f"{BUCKET}/1.jpg"] == ["ripe"]
    (broken,) = [image for image in await transfers.images(dataset) if image.source.endswith("2.jpg")]
    assert "ERROR_INVALID_BOUNDING_BOX" in {problem.code for problem in broken.problems}
    assert (await transfers.labeling.dataset(dataset)).erroneous_image_count >= 1


@pytest.mark.parametrize("all_or_nothing", [False, True])
async def test_too_many_bad_lines_fail_the_import(
    transfers: TransferClient, dataset: str, project: str, all_or_nothing: bool
) -> None:
    lines = [*(manifest_line(f"{BUCKET}/{number}.jpg", "ripe") for number in range(6)), "bad", "worse", "worst"]
    job = await transfers.import_bytes(project, "labels.manifest", manifest(lines), all_or_nothing=all_or_nothing)
    assert job.state == FAILED
    assert "3 of 9 lines" in job.error.message
    assert [finding.code for finding in await transfers.findings(job)] == ["ERROR_INVALID_JSON_LINE"] * 3
    assert len(await transfers.images(dataset)) == (0 if all_or_nothing else 6)
    assert job.result.created_count == (0 if all_or_nothing else 6)


async def test_a_failed_import_of_all_or_nothing_leaves_no_dataset(
    transfers: TransferClient, client: LabelingClient
) -> None:
    project = await client.new_project()
    data = zipped({"train/cat/1.jpg": jpeg(seed=1), "test/cat/2.jpg": jpeg(seed=2), "test/cat/3.jpg": b"no image"})
    job = await transfers.import_bytes(project, "animals.zip", data, all_or_nothing=True)
    assert job.state == FAILED
    listed = ListDatasetsRequest(parent=project)
    assert not (await client.stub.ListDatasets(listed, metadata=client.metadata)).datasets
    job = await transfers.import_bytes(project, "animals.zip", data, all_or_nothing=True, max_rejected_fraction=0.5)
    assert job.state == SUCCEEDED, job.error
    assert [len(await transfers.images(f"{project}/datasets/{name}")) for name in ("train", "test")] == [1, 1]


async def test_files_that_cannot_be_read_fail_the_import(transfers: TransferClient, dataset: str, project: str) -> None:
    for name, data in (("empty.manifest", b"\n"), ("broken.zip", b"PK\x03\x04 broken"), ("thing.bin", b"\x00\x01")):
        job = await transfers.import_bytes(project, name, data)
        assert job.state == FAILED, name
        assert job.error.message
    assert await transfers.images(dataset) == []


async def test_an_archive_brings_its_images(transfers: TransferClient, dataset: str, project: str) -> None:
    pictures = {f"cat/{number}.jpg": jpeg(seed=number) for number in range(3)}
    pictures |= {f"dog/{number}.jpg": jpeg(seed=10 + number) for number in range(2)}
    pictures["dog/broken.jpg"] = b"no image"
    job = await transfers.import_bytes(project, "animals.zip", zipped(pictures))
    assert job.state == SUCCEEDED, job.error
    assert counts(job) == count(read=6, created=5, rejected=1)
    images = await transfers.images(dataset)
    assert Counter(label for image in images for label in image.labels) == {"cat": 3, "dog": 2}
    assert {image.sha256 for image in images} == {
        hashlib.sha256(data).hexdigest() for name, data in pictures.items() if "broken" not in name
    }
    assert {image.state for image in images} == {Image.STATE_READY}
    (finding,) = await transfers.findings(job)
    assert (finding.code, finding.file) == ("ERROR_INVALID_IMAGE", "dog/broken.jpg")
    again = await transfers.import_bytes(project, "animals.zip", zipped(pictures))
    assert counts(again) == count(read=6, unchanged=5, rejected=1)


async def test_the_same_picture_twice_is_one_image(transfers: TransferClient, dataset: str, project: str) -> None:
    pictures = {"cat/1.jpg": jpeg(seed=1), "cat/2.jpg": jpeg(seed=2), "dog/3.jpg": jpeg(seed=1)}
    job = await transfers.import_bytes(project, "animals.zip", zipped(pictures))
    assert job.state == SUCCEEDED, job.error
    assert counts(job) == count(read=3, created=2, updated=1)
    images = await transfers.images(dataset)
    assert {image.source: list(image.labels) for image in images} == {"cat/1.jpg": ["cat", "dog"], "cat/2.jpg": ["cat"]}


async def test_splits_go_to_their_datasets(transfers: TransferClient, dataset: str, project: str) -> None:
    pictures = {"train/cat/1.jpg": jpeg(seed=1), "test/cat/2.jpg": jpeg(seed=2)}
    job = await transfers.import_bytes(project, "animals.zip", zipped(pictures))
    assert job.state == SUCCEEDED, job.error
    assert [image.source for image in await transfers.images(dataset)] == ["train/cat/1.jpg"]
    assert [image.source for image in await transfers.images(f"{project}/datasets/test")] == ["test/cat/2.jpg"]


async def test_annotations_find_images_that_are_there(transfers: TransferClient, dataset: str, project: str) -> None:
    names = ("photos/a/1.jpg", "photos/b/1.jpg", "photos/2.jpg")
    await transfers.labeling.upload(dataset, [Sample(name, jpeg(seed=at), ()) for at, name in enumerate(names)])
    lines = [
        manifest_line("s3://elsewhere/x/2.jpg", "by file name"),
        manifest_line("s3://elsewhere/x/1.jpg", "nobody knows which"),
    ]
    job = await transfers.import_bytes(project, "labels.manifest", manifest(lines))
    assert counts(job) == count(read=2, created=1, updated=1), await transfers.findings(job)
    labels = labels_of(await transfers.images(dataset))
    assert labels["photos/2.jpg"] == ["by file name"]
    assert labels["photos/a/1.jpg"] == labels["photos/b/1.jpg"] == []
    assert labels["s3://elsewhere/x/1.jpg"] == ["nobody knows which"]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (ImportJob.EXISTING_IMAGES_MERGE, {"old", "both", "new"}),
        (ImportJob.EXISTING_IMAGES_REPLACE, {"both", "new"}),
        (ImportJob.EXISTING_IMAGES_KEEP, {"old", "both"}),
    ],
)
async def test_images_that_are_there_are_treated_as_asked(
    transfers: TransferClient,
    dataset: str,
    project: str,
    policy: ImportJob.ExistingImages.ValueType,
    expected: set[str],
) -> None:
    await transfers.labeling.upload(dataset, [Sample("1.jpg", jpeg(seed=1), ("old", "both"))])
    (before,) = await transfers.images(dataset)
    line = manifest([manifest_line("s3://shop/1.jpg", "both", "new")])
    job = await transfers.import_bytes(project, "labels.manifest", line, existing_images=policy)
    assert job.state == SUCCEEDED, job.error
    (after,) = await transfers.images(dataset)
    assert set(after.labels) == expected
    kept = {made.label: made.name for made in before.annotations}
    assert all(made.name == kept[made.label] for made in after.annotations if made.label in kept)
    assert (after.etag == before.etag) == (policy == ImportJob.EXISTING_IMAGES_KEEP)


async def test_boxes_must_fit_the_image_as_it_really_is(transfers: TransferClient, dataset: str, project: str) -> None:
    await transfers.labeling.upload(dataset, [Sample("1.jpg", jpeg(width=64, height=48, seed=1), ())])
    line = manifest([manifest_line("s3://shop/1.jpg", boxes=[("in", 1, 2, 30, 20), ("out", 100, 100, 300, 200)])])
    job = await transfers.import_bytes(project, "labels.manifest", line)
    assert counts(job) == count(read=1, updated=1, problems=1)
    (image,) = await transfers.images(dataset)
    assert boxes_of(image) == [("in", 1, 2, 30, 20)]
    assert [problem.code for problem in image.problems] == ["ERROR_INVALID_BOUNDING_BOX"]
    assert [(finding.code, finding.line) for finding in await transfers.findings(job)] == [
        ("ERROR_INVALID_BOUNDING_BOX", 1),
        ("WARNING_IMAGE_SIZE_DIFFERS", 1),
    ]


async def test_boxes_for_another_size_are_told_of(transfers: TransferClient, dataset: str, project: str) -> None:
    sizes = {"same": (640, 480), "half": (320, 240), "no boxes": (320, 240)}
    pictures = [
        Sample(f"{name}.jpg", jpeg(width=width, height=height, seed=seed), ())
        for seed, (name, (width, height)) in enumerate(sizes.items())
    ]
    await transfers.labeling.upload(dataset, pictures)
    lines = [
        manifest_line("same.jpg", boxes=[("stone", 1, 2, 30, 20)]),
        manifest_line("half.jpg", boxes=[("stone", 1, 2, 30, 20)]),
        manifest_line("no boxes.jpg", "ripe"),
    ]
    job = await transfers.import_bytes(project, "labels.manifest", manifest(lines))
    assert counts(job) == count(read=3, updated=3), await transfers.findings(job)
    (finding,) = await transfers.findings(job)
    assert (finding.code, finding.line) == ("WARNING_IMAGE_SIZE_DIFFERS", 2)
    assert finding.message == "the image is 320 × 240 pixels; its boxes were made for 640 × 480"


async def test_a_dataset_is_copied_to_another_project(
    transfers: TransferClient, client: LabelingClient, dataset: str, project: str
) -> None:
    lines = [manifest_line(f"{BUCKET}/{number}.jpg", "ripe", boxes=[("stone", 1, 2, 3, 4)]) for number in range(5)]
    await transfers.import_bytes(project, "labels.manifest", manifest(lines))
    await client.upload(dataset, [Sample("here.jpg", jpeg(seed=5), ("cat",))])
    other = await client.new_project()
    job = await transfers.ended(await transfers.begin_import(other, source_dataset=dataset))
    assert job.state == SUCCEEDED, job.error
    assert counts(job) == count(read=6, created=6)
    copied, original = await transfers.images(f"{other}/datasets/train"), await transfers.images(dataset)
    assert [(image.source, image.sha256, list(image.labels), boxes_of(image)) for image in copied] == [
        (image.source, image.sha256, list(image.labels), boxes_of(image)) for image in original
    ]
    assert await client.download(copied[-1].name) == jpeg(seed=5)


async def test_references_get_their_bytes_from_a_later_import(
    transfers: TransferClient, dataset: str, project: str
) -> None:
    names = ("1.jpg", "2.jpg", "3.jpg")
    lines = manifest(manifest_line(f"s3://shop/{name}", "ripe") for name in names)
    await transfers.import_bytes(project, "labels.manifest", lines)
    pictures = {f"images/{name}": jpeg(seed=1 if name == "2.jpg" else int(name[0])) for name in names}
    job = await transfers.import_bytes(project, "all.zip", zipped({"labels.manifest": lines, **pictures}))
    assert job.state == SUCCEEDED, job.error
    images = await transfers.images(dataset)
    assert [(image.source, image.state) for image in images] == [
        ("s3://shop/1.jpg", Image.STATE_READY),
        # It is the same picture as the first, and a dataset has each once.
        ("s3://shop/2.jpg", Image.STATE_PENDING),
        ("s3://shop/3.jpg", Image.STATE_READY),
    ]


async def test_requests_that_make_no_sense_are_refused(
    transfers: TransferClient, client: LabelingClient, dataset: str, project: str
) -> None:
    other = await client.new_project()
    file = await transfers.upload(project, "../../etc/labels.manifest", b"{}")
    assert file.file_name == "labels.manifest"
    for fields, field in (
        ({}, "import_job.source"),
        ({"url": "s3://bucket/labels.manifest"}, "import_job.url"),
        ({"url": "file:///etc/passwd"}, "import_job.url"),
        ({"url": "http://169.254.169.254/"}, "import_job.url"),
        ({"uploaded_file": file.name, "max_rejected_fraction": 2}, "import_job.max_rejected_fraction"),
        ({"uploaded_file": file.name, "image_prefix": "s3://bucket/"}, "import_job.image_prefix"),
        ({"uploaded_file": file.name, "dataset": f"{other}/datasets/train"}, "import_job.dataset"),
        ({"source_dataset": dataset, "dataset": dataset}, "import_job.source_dataset"),
        ({"uploaded_file": file.name, "format": 99}, "import_job.format"),
    ):
        with Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
            await transfers.begin_import(project, **fields)
        assert failure.fields == [field]
    with Failure(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        await transfers.begin_import(project, uploaded_file=f"{project}/uploadedFiles/f-1")
    with Failure(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        await transfers.begin_import(project, source_dataset=f"{other}/datasets/nothing")


async def test_a_file_that_was_damaged_on_its_way_is_refused(transfers: TransferClient, project: str) -> None:
    with Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
        await transfers.upload(project, "labels.csv", b"1.jpg,cat", sha256="0" * 64)
    assert failure.fields == ["header.sha256"]
    with Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await transfers.upload(project, "labels.csv", b"")
    with Failure(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        await transfers.upload("projects/nowhere", "labels.csv", b"1.jpg,cat")


async def test_a_repeated_request_imports_once(transfers: TransferClient, dataset: str, project: str) -> None:
    file = await transfers.upload(project, "labels.manifest", manifest([manifest_line(f"{BUCKET}/1.jpg", "ripe")]))
    request_id = str(uuid.uuid4())
    first = await transfers.begin_import(project, request_id, uploaded_file=file.name)
    assert (await transfers.begin_import(project, request_id, uploaded_file=file.name)).name == first.name
    with Failure(grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED"):
        await transfers.begin_import(project, request_id, uploaded_file=file.name, all_or_nothing=True)
    await transfers.ended(first)
    listed = await transfers.stub.ListImportJobs(pb.ListImportJobsRequest(parent=project), metadata=transfers.metadata)
    assert [job.name for job in listed.import_jobs] == [first.name]
    assert await transfers.findings(first) == []


async def test_a_project_without_a_test_dataset_gets_one(transfers: TransferClient, client: LabelingClient) -> None:
    project = await client.new_project()
    await client.new_dataset(project, "exam", SPLIT_TEST)
    pictures = {"train/cat/1.jpg": jpeg(seed=1), "test/cat/2.jpg": jpeg(seed=2)}
    job = await transfers.import_bytes(project, "animals.zip", zipped(pictures))
    assert job.state == SUCCEEDED, job.error
    assert len(await transfers.images(f"{project}/datasets/exam")) == 1
    assert len(await transfers.images(f"{project}/datasets/train")) == 1
