"""What becomes of imports when workers are killed, stopped or kept from places."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest

from sightsmith.api.labeling.v1 import import_export_service_pb2 as pb
from sightsmith.api.labeling.v1.image_pb2 import Image

from .conftest import MakeWorker
from .labeling_client import LabelingClient
from .labeling_process import WorkerProcess
from .sample_images import jpeg
from .transfer_client import (
    CANCELLED,
    SUCCEEDED,
    TransferClient,
    count,
    counts,
    manifest,
    manifest_line,
)

pytestmark = pytest.mark.usefixtures("worker")
BUCKET = "s3://shop/images"


@pytest.fixture
def transfers(client: LabelingClient) -> TransferClient:
    return TransferClient(client)


async def test_references_are_fetched_from_allowed_places_only(
    transfers: TransferClient,
    client: LabelingClient,
    worker: WorkerProcess,
    make_worker: MakeWorker,
    tmp_path: Path,
) -> None:
    allowed, forbidden = tmp_path / "allowed", tmp_path / "forbidden"
    allowed.mkdir()
    forbidden.mkdir()
    (allowed / "good.jpg").write_bytes(jpeg(seed=1))
    (allowed / "same.jpg").write_bytes(jpeg(seed=1))
    (allowed / "bad.jpg").write_bytes(b"no image")
    (allowed / "link.jpg").symlink_to(forbidden / "secret.jpg")
    (forbidden / "secret.jpg").write_bytes(jpeg(seed=2))
    project = await client.new_project()
    dataset = await client.new_dataset(project)
    sources = [
        *(f"{allowed.as_uri()}/{name}.jpg" for name in ("good", "same", "bad", "missing", "link")),
        f"{forbidden.as_uri()}/secret.jpg",
    ]
    images = [{"id": number, "file_name": source, "width": 64, "height": 48} for number, source in enumerate(sources)]
    coco = json.dumps({"images": images, "annotations": [], "categories": []}).encode()
    assert worker.stop() == 0
    fetching = make_worker(
        {"SIGHTSMITH_IMPORT_SOURCES": f'["{allowed.as_uri()}/"]', "SIGHTSMITH_FETCH_CONCURRENCY": "16"}
    )
    fetching.start()
    try:
        job = await transfers.import_bytes(project, "images.json", coco)
        assert counts(job) == count(read=6, created=6), await transfers.findings(job)
        async with asyncio.timeout(20):
            while any(image.state == Image.STATE_PENDING for image in await transfers.images(dataset)):
                await asyncio.sleep(0.1)
    finally:
        fetching.stop()
        worker.start()
    found = {image.source.rpartition("/")[2]: image for image in await transfers.images(dataset)}
    assert found["good.jpg"].state == Image.STATE_READY
    assert await client.download(found["good.jpg"].name) == jpeg(seed=1)
    assert {name: image.problems[0].code for name, image in found.items() if image.state == Image.STATE_FAILED} == {
        "same.jpg": "DUPLICATE_IMAGE",
        "bad.jpg": "ERROR_INVALID_IMAGE",
        "missing.jpg": "ERROR_IMAGE_NOT_FOUND",
        "link.jpg": "ERROR_IMAGE_SOURCE_NOT_ALLOWED",
        "secret.jpg": "ERROR_IMAGE_SOURCE_NOT_ALLOWED",
    }
    assert (await client.dataset(dataset)).unready_image_count == 5


async def test_a_killed_worker_leaves_nothing_twice_and_nothing_out(
    transfers: TransferClient, client: LabelingClient, worker: WorkerProcess, make_worker: MakeWorker
) -> None:
    lines, bad = 20_000, 200
    data = manifest(
        manifest_line(f"{BUCKET}/{number}.jpg", f"label {number % 7}") if number % 100 else f"bad {number}"
        for number in range(lines)
    )
    project = await client.new_project()
    dataset = await client.new_dataset(project)
    assert worker.stop() == 0
    first, second = (
        make_worker({"SIGHTSMITH_JOB_LEASE_SECONDS": "2"}),
        make_worker({"SIGHTSMITH_JOB_LEASE_SECONDS": "2"}),
    )
    try:
        file = await transfers.upload(project, "labels.manifest", data)
        job = await transfers.begin_import(project, uploaded_file=file.name)
        first.begin()
        while not 2000 <= (there := (await client.dataset(dataset)).image_count) < lines - 4000:
            assert there < lines - 4000, "the import was too quick to be killed in the middle"
            await asyncio.sleep(0.02)
        first.kill()
        cut_off = (await client.dataset(dataset)).image_count
        second.start()
        ended = await transfers.ended(job)
    finally:
        second.stop()
        worker.start()
    assert 0 < cut_off < lines - bad
    assert ended.state == SUCCEEDED, ended.error
    assert counts(ended) == count(read=lines, created=lines - bad, rejected=bad)
    assert ended.progress.total_count == lines
    report = await transfers.report(ended)
    assert [finding["line"] for finding in report] == [number + 1 for number in range(0, lines, 100)]
    after = await client.dataset(dataset)
    assert after.image_count == lines - bad
    per_label = {label.label: label.image_count for label in after.label_counts}
    assert per_label == Counter(f"label {number % 7}" for number in range(lines) if number % 100)


async def test_a_cancelled_import_tells_what_is_in(
    transfers: TransferClient, client: LabelingClient, dataset: str, project: str
) -> None:
    data = manifest(manifest_line(f"{BUCKET}/{number}.jpg", "ripe") for number in range(60_000))
    file = await transfers.upload(project, "labels.manifest", data)
    job = await transfers.begin_import(project, uploaded_file=file.name)
    while (await client.dataset(dataset)).image_count == 0:
        await asyncio.sleep(0.02)
    await transfers.stub.CancelImportJob(pb.CancelImportJobRequest(name=job.name), metadata=transfers.metadata)
    async with asyncio.timeout(5):
        ended = await transfers.ended(job)
    assert ended.state == CANCELLED
    assert 0 < ended.result.created_count < 60_000
    assert (await client.dataset(dataset)).image_count == ended.result.created_count
