"""Imports from places outside: a bucket of a real S3 server, and a folder of this machine."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import obstore
import pytest
from obstore.store import S3Store

from sightsmith.api.labeling.v1.dataset_pb2 import SPLIT_TEST
from sightsmith.api.labeling.v1.image_pb2 import Image
from sightsmith.api.labeling.v1.job_pb2 import JobFinding
from sightsmith.rpc.status import from_status
from tests.integration.conftest import TOKEN
from tests.seaweedfs import BUCKET, s3_server

from .conftest import MakeProcess, MakeWorker
from .labeling_client import Failure, LabelingClient
from .sample_images import jpeg
from .transfer_client import FAILED, SUCCEEDED, TransferClient, labels_of, manifest, manifest_line
from .validation_client import ValidationClient

SHOP = f"s3://{BUCKET}/shop"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("allowed")


@pytest.fixture(scope="module")
def bucket(
    folder: Path,
    no_shared_worker: None,
    make_process: MakeProcess,
    make_worker: MakeWorker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[S3Store, str]]:
    """A bucket, and the address of a service that may import from it; only its worker is there to do the jobs."""
    with s3_server(tmp_path_factory.mktemp("s3")) as settings:
        aws = {name: value for name, value in settings.items() if name.startswith("AWS_")}
        allowed = {"SIGHTSMITH_IMPORT_SOURCES": json.dumps([f"{SHOP}/", f"s3://{BUCKET}-gone/", f"{folder.as_uri()}/"])}
        service, own_worker = make_process({**aws, **allowed}), make_worker({**aws, **allowed})
        try:
            service.start()
            own_worker.start()
            store = S3Store(
                BUCKET,
                endpoint=aws["AWS_ENDPOINT_URL"],
                access_key_id="any",
                secret_access_key="any",
                region="us-east-1",
                client_options={"allow_http": True},
            )
            yield store, service.target
        finally:
            own_worker.stop()


@pytest.fixture
async def transfers(bucket: tuple[S3Store, str]) -> AsyncIterator[TransferClient]:
    client = LabelingClient(bucket[1], TOKEN)
    async with client.channel:
        yield TransferClient(client)


@pytest.fixture
def store(bucket: tuple[S3Store, str]) -> S3Store:
    return bucket[0]


@pytest.fixture
async def own_dataset(transfers: TransferClient) -> str:
    return await transfers.labeling.new_dataset()


@pytest.fixture
def own_project(own_dataset: str) -> str:
    return own_dataset.partition("/datasets/")[0]


async def fetched(transfers: TransferClient, dataset: str) -> dict[str, Image]:
    """The images by their sources, once none waits for its bytes."""
    async with asyncio.timeout(30):
        while True:
            found = {image.source: image for image in await transfers.images(dataset)}
            if all(image.state != Image.STATE_PENDING for image in found.values()):
                return found
            await asyncio.sleep(0.1)


async def test_a_manifest_in_a_bucket_brings_images_of_the_bucket(
    transfers: TransferClient, store: S3Store, own_dataset: str, own_project: str
) -> None:
    sources = [f"{SHOP}/by-url/{seed} ü.jpg" for seed in range(3)]
    for seed in range(3):
        obstore.put(store, f"shop/by-url/{seed} ü.jpg", jpeg(seed=seed))
    lines = [manifest_line(source, "ripe") for source in (*sources, f"{SHOP}/by-url/missing.jpg")]
    obstore.put(store, "shop/labels.manifest", manifest(lines))
    job = await transfers.ended(await transfers.begin_import(own_project, url=f"{SHOP}/labels.manifest"))
    assert job.state == SUCCEEDED, job.error
    assert job.result.created_count == 4
    found = await fetched(transfers, own_dataset)
    assert {source: image.state for source, image in found.items()} == {
        **dict.fromkeys(sources, Image.STATE_READY),
        f"{SHOP}/by-url/missing.jpg": Image.STATE_FAILED,
    }
    for seed, source in enumerate(sources):
        assert await transfers.labeling.download(found[source].name) == jpeg(seed=seed)
        assert list(found[source].labels) == ["ripe"]
    (problem,) = found[f"{SHOP}/by-url/missing.jpg"].problems
    assert problem.code == "ERROR_IMAGE_NOT_FOUND"


async def test_everything_below_a_prefix_is_imported(
    transfers: TransferClient, store: S3Store, own_dataset: str, own_project: str
) -> None:
    for seed, name in enumerate(("ripe/1.jpg", "ripe/2.jpg", "unripe/1.jpg")):
        obstore.put(store, f"shop/folders/{name}", jpeg(seed=seed))
    obstore.put(store, "shop/folders-beside/other/4.jpg", jpeg(seed=4))
    job = await transfers.ended(await transfers.begin_import(own_project, url=f"{SHOP}/folders/"))
    assert job.state == SUCCEEDED, job.error
    images = await transfers.images(own_dataset)
    assert labels_of(images) == {"ripe/1.jpg": ["ripe"], "ripe/2.jpg": ["ripe"], "unripe/1.jpg": ["unripe"]}
    assert {image.state for image in images} == {Image.STATE_READY}


async def test_a_prefix_makes_urls_of_names(
    transfers: TransferClient, store: S3Store, own_dataset: str, own_project: str
) -> None:
    obstore.put(store, "shop/prefixed/a/1.jpg", jpeg(seed=1))
    coco = {
        "images": [{"id": 1, "file_name": "a/1.jpg", "width": 64, "height": 48}],
        "annotations": [],
        "categories": [],
    }
    job = await transfers.import_bytes(
        own_project, "instances.json", json.dumps(coco).encode(), image_prefix=f"{SHOP}/prefixed/"
    )
    assert job.state == SUCCEEDED, job.error
    found = await fetched(transfers, own_dataset)
    assert {source: image.state for source, image in found.items()} == {f"{SHOP}/prefixed/a/1.jpg": Image.STATE_READY}


async def test_boxes_for_another_size_are_told_of_when_the_bytes_come(
    transfers: TransferClient, store: S3Store, own_dataset: str, own_project: str
) -> None:
    sources = [f"{SHOP}/sizes/{name}.jpg" for name in ("same", "small", "no boxes")]
    for seed, (source, side) in enumerate(zip(sources, (480, 48, 48), strict=True)):
        obstore.put(store, f"shop{source.removeprefix(SHOP)}", jpeg(seed=seed, width=side * 4 // 3, height=side))
    same, small, no_boxes = sources
    coco = {
        "images": [{"id": source, "file_name": source, "width": 640, "height": 480} for source in sources],
        "annotations": [
            {"image_id": same, "category_id": 1, "bbox": [1, 2, 3, 4]},
            {"image_id": small, "category_id": 1, "bbox": [1, 2, 3, 4]},
            {"image_id": no_boxes, "category_id": 1},
        ],
        "categories": [{"id": 1, "name": "stone"}],
    }
    job = await transfers.import_bytes(own_project, "instances.json", json.dumps(coco).encode())
    assert job.state == SUCCEEDED, job.error
    found = await fetched(transfers, own_dataset)
    assert {image.state for image in found.values()} == {Image.STATE_READY}
    assert {source: [problem.code for problem in image.problems] for source, image in found.items()} == {
        same: [],
        small: ["WARNING_IMAGE_SIZE_DIFFERS"],
        no_boxes: [],
    }
    assert found[small].problems[0].message == "the image is 64 × 48 pixels; its boxes were made for 640 × 480"


async def test_what_is_not_allowed_or_not_there_is_refused(
    transfers: TransferClient, own_dataset: str, own_project: str
) -> None:
    refused = {
        "import_job.url": {"url": f"s3://{BUCKET}/private/a.manifest"},
        "import_job.image_prefix": {"url": f"{SHOP}/a.manifest", "image_prefix": "s3://other/"},
        "import_job.source_dataset": {"source_dataset": own_dataset},
    }
    for field, request in refused.items():
        with Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
            await transfers.begin_import(own_project, **request)
        assert failure.fields == [field]
    job = await transfers.ended(await transfers.begin_import(own_project, url=f"{SHOP}/none.manifest"))
    assert job.state == FAILED
    assert from_status(job.error).metadata["code"] == "ERROR_MANIFEST_INACCESSIBLE_OR_UNSUPPORTED_FORMAT"


async def test_no_link_leads_out_of_an_allowed_folder(
    transfers: TransferClient, folder: Path, tmp_path: Path, own_dataset: str, own_project: str
) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "secret.jpg").write_bytes(jpeg(seed=1))
    (folder / "pictures" / "cat").mkdir(parents=True)
    (folder / "pictures" / "cat" / "1.jpg").write_bytes(jpeg(seed=2))
    (folder / "pictures" / "cat" / "link.jpg").symlink_to(secrets / "secret.jpg")
    (folder / "pictures" / "secrets").symlink_to(secrets, target_is_directory=True)
    url = f"{(folder / 'pictures').as_uri()}/"
    job = await transfers.ended(await transfers.begin_import(own_project, url=url, max_rejected_fraction=1))
    assert job.state == SUCCEEDED, job.error
    assert labels_of(await transfers.images(own_dataset)) == {"cat/1.jpg": ["cat"]}
    told = sorted((finding.code, finding.file) for finding in await transfers.findings(job))
    assert told == [("ERROR_NOT_A_FILE", "cat/link.jpg"), ("ERROR_NOT_A_FILE", "secrets")]
    gone = await transfers.ended(await transfers.begin_import(own_project, url=f"{folder.as_uri()}/gone/"))
    assert gone.state == FAILED
    assert from_status(gone.error).metadata["code"] == "ERROR_MANIFEST_INACCESSIBLE_OR_UNSUPPORTED_FORMAT"


async def test_too_many_bad_lines_have_a_code(transfers: TransferClient, own_project: str) -> None:
    lines = [manifest_line(f"{SHOP}/x.jpg", "ripe"), "bad"]
    job = await transfers.import_bytes(own_project, "labels.manifest", manifest(lines))
    assert job.state == FAILED
    assert from_status(job.error).metadata["code"] == "ERROR_TOO_MANY_RECORDS_IN_ERROR"


async def test_a_copy_keeps_what_its_images_are_for(transfers: TransferClient, own_project: str) -> None:
    test = await transfers.labeling.new_dataset(own_project, "test", SPLIT_TEST)
    lines = manifest([manifest_line(f"{SHOP}/copied.jpg", "ripe")])
    await transfers.import_bytes(own_project, "labels.manifest", lines, dataset=test)
    other = await transfers.labeling.new_project()
    job = await transfers.ended(await transfers.begin_import(other, source_dataset=test))
    assert job.state == SUCCEEDED, job.error
    assert labels_of(await transfers.images(f"{other}/datasets/test")) == {f"{SHOP}/copied.jpg": ["ripe"]}


async def test_images_that_could_not_be_fetched_at_all_refuse_a_training(
    transfers: TransferClient, own_dataset: str, own_project: str
) -> None:
    lines = manifest(manifest_line(f"{SHOP}/nowhere/{number}.jpg", "ripe") for number in range(3))
    await transfers.import_bytes(own_project, "labels.manifest", lines)
    await fetched(transfers, own_dataset)
    validations = ValidationClient(transfers.labeling)
    job = await validations.validate(own_project)
    assert not job.result.trainable
    terminal = await validations.findings(job, severity=JobFinding.SEVERITY_TERMINAL)
    assert "ERROR_FAILED_IMAGES_S3_COPY" in {finding.code for finding in terminal}
