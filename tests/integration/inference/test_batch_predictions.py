"""Batch prediction jobs: exactly one line an image, whatever dies on the way."""

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sightsmith.api.inference.v1.batch_prediction_job_pb2 import (
    BatchPredictionJob,
    BatchPredictionProgress,
    BatchPredictionResult,
    ImageUrls,
)
from sightsmith.client import Client
from sightsmith.errors import SightsmithError
from sightsmith.stack import Stack
from tests.integration.inference.conftest import ALPHA, png
from tests.integration.inference.inference_client import InferenceClient, name_of
from tests.integration.inference.tiny_models import TinyModel

_WAIT_SECONDS = 60.0


@pytest.fixture(scope="module")
def pictures(stack: Stack) -> Path:
    """The folder that clients may have images read from."""
    folder = stack.endpoints.data_dir / "pictures"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def hundred(pictures: Path) -> Path:
    """A folder of 100 images, 2 files that are none in spite of their names, and one that is none by its name."""
    folder = pictures / "hundred"
    for number in range(100):
        path = folder / f"{number % 7}" / f"{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(number))
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "empty.png").write_bytes(b"")
    (folder / "notes.txt").write_bytes(b"no picture either")
    return folder


@pytest.fixture(scope="module")
def many(pictures: Path) -> Path:
    """A folder of 400 images."""
    folder = pictures / "many"
    folder.mkdir()
    image = folder / "000.png"
    image.write_bytes(png(1))
    for number in range(1, 400):
        (folder / f"{number:03d}.png").hardlink_to(image)
    return folder


def job_of(deployment: str, **fields: Any) -> BatchPredictionJob:
    return BatchPredictionJob(deployment=name_of(deployment), **fields)


def lines_of(api: Client, job: BatchPredictionJob, result: BatchPredictionResult, folder: Path) -> list[dict[str, Any]]:
    target = folder / f"{job.name.rpartition('/')[2]}-{result.file_name}"
    api.batch_predictions.download(job.name, result, target)
    data = target.read_bytes()
    assert hashlib.sha256(data).hexdigest() == result.sha256
    assert len(data) == result.size_bytes
    return [json.loads(line) for line in data.splitlines()]


async def wait_until(api: Client, name: str, is_so: Callable[[BatchPredictionJob], bool]) -> BatchPredictionJob:
    deadline = time.monotonic() + _WAIT_SECONDS
    while not is_so(job := await asyncio.to_thread(api.batch_predictions.get, name)):
        assert time.monotonic() < deadline, job
        await asyncio.sleep(0.02)
    return job


async def test_a_folder(api: Client, main: str, hundred: Path, tmp_path: Path, alpha: TinyModel) -> None:
    wanted = job_of(main, url=f"{hundred.as_uri()}/", min_confidence=0)
    begun = await asyncio.to_thread(api.batch_predictions.begin, "shop", wanted)
    changes = [change async for change in _watched(api, begun.name)]
    job = changes[-1]
    assert job.state == BatchPredictionJob.STATE_SUCCEEDED, job
    assert [change.revision for change in changes] == sorted({change.revision for change in changes})
    progress = job.progress
    assert (progress.image_count, progress.answered_count, progress.failed_count, progress.skipped_count) == (
        102,
        100,
        2,
        1,
    )
    assert (progress.shard_count, progress.done_shard_count) == (13, 13)
    assert progress.images_per_second > 0
    assert job.cost.image_count == 102
    assert min(job.cost.model_time.ToNanoseconds(), job.cost.worker_time.ToNanoseconds()) > 0

    lines, manifest = (lines_of(api, job, result, tmp_path) for result in job.results)
    assert [line["source"] for line in lines] == _in_listed_order(hundred)
    for line in lines[2:9]:
        scores = alpha.scores(png(int(line["source"][-7:-4])))
        assert {one["label"]: one["confidence"] for one in line["predictions"]} == pytest.approx(scores, abs=1e-5)
    assert {line["error"]["reason"] for line in lines if "error" in line} == {"IMAGE_UNREADABLE", "IMAGE_EMPTY"}
    assert len(manifest) == len(lines)
    labelled = [line for line in manifest if len(line) > 1]
    assert len(labelled) == 100
    assert labelled[0]["label-0-metadata"]["human-annotated"] == "no"


def _in_listed_order(folder: Path) -> list[str]:
    top = [folder / "broken.jpg", folder / "empty.png"]
    below = [path for child in sorted(folder.iterdir()) if child.is_dir() for path in sorted(child.iterdir())]
    return [path.as_uri() for path in [*top, *below]]


async def _watched(api: Client, name: str) -> Any:
    changes = await asyncio.to_thread(lambda: [*api.batch_predictions.watch(name)])
    for change in changes:
        yield change


async def test_killed(stack: Stack, api: Client, main: str, many: Path, tmp_path: Path) -> None:
    """Triton, NATS, the process that answers and PostgreSQL die one after the other while it does."""
    job = await asyncio.to_thread(api.batch_predictions.begin, "shop", job_of(main, url=f"{many.as_uri()}/"))
    await wait_until(api, job.name, lambda job: job.progress.done_shard_count > 0)
    await asyncio.to_thread(stack.kill, "triton")
    await asyncio.to_thread(stack.kill, "nats")
    before = await wait_until(api, job.name, lambda job: job.progress.done_shard_count > 0)
    await asyncio.to_thread(stack.kill, "inference")
    await asyncio.to_thread(stack.kill, "postgres")
    assert before.progress.done_shard_count < before.progress.shard_count
    await asyncio.to_thread(stack.wait_ready)
    done = await asyncio.to_thread(api.batch_predictions.wait, job.name)
    assert (done.progress.answered_count, done.progress.failed_count) == (400, 0)
    for result in done.results:
        lines = lines_of(api, done, result, tmp_path)
        key = "source" if result.format == BatchPredictionJob.FORMAT_JSON_LINES else "source-ref"
        assert len({line[key] for line in lines}) == len(lines) == 400


async def test_cancelled(stack: Stack, api: Client, main: str, many: Path) -> None:
    job = await asyncio.to_thread(api.batch_predictions.begin, "shop", job_of(main, url=f"{many.as_uri()}/"))
    await wait_until(api, job.name, lambda job: job.progress.phase == BatchPredictionProgress.PHASE_PREDICTING)
    begin = time.monotonic()
    await asyncio.to_thread(api.batch_predictions.cancel, job.name)
    await wait_until(api, job.name, lambda job: job.state == BatchPredictionJob.STATE_CANCELLED)
    assert time.monotonic() - begin < 5
    folder = stack.endpoints.data_dir / "objects" / "batch-work" / "shop" / job.name.rpartition("/")[2]
    deadline = time.monotonic() + _WAIT_SECONDS
    while any(path.is_file() for path in folder.rglob("*")):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_a_manifest(api: Client, main: str, hundred: Path, pictures: Path, tmp_path: Path) -> None:
    (pictures / "secret.png").symlink_to("/etc/hostname")
    named = [
        '{"source-ref": "hundred/1/001.png"}',
        (hundred / "2" / "002.png").as_uri(),
        "",
        "hundred/1/001.png",
        '{"source": 3}',
        "file:///etc/passwd",
        "../../etc/passwd",
        "secret.png",
        "hundred/9/nothing.png",
    ]
    (pictures / "list.txt").write_text("\n".join(named))
    wanted = job_of(
        main,
        manifest_url=(pictures / "list.txt").as_uri(),
        labels=["dark"],
        min_confidence=0,
        formats=[BatchPredictionJob.FORMAT_JSON_LINES],
        output_prefix="lists/monday",
    )
    job = await asyncio.to_thread(api.batch_predictions.begin, "shop", wanted)
    job = await asyncio.to_thread(api.batch_predictions.wait, job.name)
    assert job.results[0].url.endswith(f"/outputs/shop/lists/monday/{job.name.rpartition('/')[2]}/results.jsonl")
    lines = lines_of(api, job, job.results[0], tmp_path)
    assert job.progress.skipped_count == 1
    assert [[one["label"] for one in line["predictions"]] for line in lines[:2]] == [["dark"], ["dark"]]
    assert lines[2]["source"].endswith("list.txt:5")
    assert [line["error"]["reason"] for line in lines[2:]] == ["INVALID_FIELD"] * 4 + ["NOT_FOUND"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "batch_prediction_job.source"),
        ({"url": "file:///etc/"}, "batch_prediction_job.url"),
        ({"url": "https://example.com/"}, "batch_prediction_job.url"),
        ({"image_urls": ImageUrls(urls=["s3://other/key"])}, "batch_prediction_job.image_urls.urls[0]"),
        ({"dataset": "projects/other/datasets/train"}, "batch_prediction_job.dataset"),
        ({"url": "{pictures}", "output_prefix": "s3://other/"}, "batch_prediction_job.output_prefix"),
        ({"url": "{pictures}", "min_confidence": 2}, "batch_prediction_job.min_confidence"),
        ({"url": "{pictures}", "formats": [7]}, "batch_prediction_job.formats"),
    ],
)
def test_refused(api: Client, deployed: str, pictures: Path, fields: dict[str, Any], field: str) -> None:
    if fields.get("url") == "{pictures}":
        fields = {**fields, "url": f"{pictures.as_uri()}/"}
    with pytest.raises(SightsmithError) as raised:
        api.batch_predictions.begin("shop", job_of(deployed, **fields))
    assert [violation.field for violation in raised.value.violations] == [field]


async def test_failed(api: Client, client: InferenceClient, main: str, pictures: Path) -> None:
    job = await asyncio.to_thread(api.batch_predictions.begin, "shop", job_of(main, url=f"{pictures.as_uri()}/gone/"))
    with pytest.raises(SightsmithError) as raised:
        await asyncio.to_thread(api.batch_predictions.wait, job.name)
    assert raised.value.reason == "SOURCE_UNREADABLE"
    with pytest.raises(SightsmithError) as raised:
        api.batch_predictions.begin("shop", job_of("nobody", url=f"{pictures.as_uri()}/"))
    assert raised.value.reason == "NOT_FOUND"


async def test_nobody_waits_for_a_deployment_that_is_stopped(
    api: Client, client: InferenceClient, pictures: Path
) -> None:
    await client.create("resting", model=ALPHA)
    await client.stop("resting")
    with pytest.raises(SightsmithError, match="does not answer, it is STOP") as raised:
        api.batch_predictions.begin("shop", job_of("resting", url=f"{pictures.as_uri()}/"))
    await client.delete("resting")
    assert (raised.value.reason, raised.value.metadata["deployment"]) == ("WRONG_STATE", name_of("resting"))


async def test_the_deployment_is_deleted_meanwhile(api: Client, client: InferenceClient, many: Path) -> None:
    await client.create("leaving", model=ALPHA)
    await client.wait_running("leaving", ALPHA)
    job = await asyncio.to_thread(api.batch_predictions.begin, "shop", job_of("leaving", url=f"{many.as_uri()}/"))
    await wait_until(api, job.name, lambda job: job.progress.done_shard_count > 0)
    await client.delete("leaving")
    with pytest.raises(SightsmithError) as raised:
        await asyncio.to_thread(api.batch_predictions.wait, job.name)
    assert (raised.value.reason, raised.value.metadata) == ("NOT_FOUND", {"name": name_of("leaving")})
