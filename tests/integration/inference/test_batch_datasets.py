"""Batch predictions of what labeling knows: datasets and snapshots."""

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from sightsmith.api.inference.v1.batch_prediction_job_pb2 import BatchPredictionJob
from sightsmith.api.labeling.v1.image_pb2 import Image
from sightsmith.api.labeling.v1.snapshot_pb2 import Snapshot, SnapshotEntry
from sightsmith.api.training.v1.model_pb2 import Model
from sightsmith.client import Client
from sightsmith.errors import SightsmithError
from sightsmith.objects import image_key
from sightsmith.stack import Stack
from tests.integration.inference.conftest import PutModel
from tests.integration.inference.inference_client import InferenceClient, name_of
from tests.integration.inference.labeling_stand_in import LabelingStandIn
from tests.integration.inference.test_tasks import Picture
from tests.integration.inference.tiny_detector import LABELS, detector_onnx

FINDER = "projects/shop/models/finder"
DATASET, SNAPSHOT = "projects/shop/datasets/train", "projects/shop/snapshots/1"
# The first lies on its side as it is stored.
PICTURES = (Picture(64, 32, orientation=6), Picture(80, 48), Picture(48, 96))


@pytest.fixture(scope="module")
def known(stack: Stack, labeling: tuple[LabelingStandIn, int]) -> None:
    """A dataset of three pictures and one that is not there yet, and a snapshot of the three."""
    objects = stack.endpoints.data_dir / "objects"
    images = [Image(name=f"{DATASET}/images/9", state=Image.STATE_PENDING, source="camera/9.png")]
    entries = []
    for number, picture in enumerate(PICTURES):
        data = picture.png()
        sha256 = hashlib.sha256(data).hexdigest()
        key = image_key(sha256)
        (objects / key).parent.mkdir(parents=True, exist_ok=True)
        (objects / key).write_bytes(data)
        name, source = f"{DATASET}/images/{number}", f"camera/{number}.png"
        images.append(Image(name=name, state=Image.STATE_READY, source=source, sha256=sha256))
        entries.append(SnapshotEntry(image=name, sha256=sha256, key=key, source=source))
    (objects / "snapshots").mkdir(exist_ok=True)
    lines = (json_format.MessageToJson(entry, indent=None) for entry in entries)
    (objects / "snapshots" / "three.jsonl").write_text("".join(f"{line}\n" for line in lines))
    labeling[0].images[DATASET] = images
    labeling[0].snapshots.known[SNAPSHOT] = Snapshot(name=SNAPSHOT, manifest_key="snapshots/three.jsonl")


async def test_a_dataset_and_a_snapshot(
    api: Client, client: InferenceClient, put_model: PutModel, known: None, tmp_path: Path
) -> None:
    put_model(FINDER, {"onnx": detector_onnx()}, task=Model.TASK_DETECTION, labels=LABELS)
    await client.create("finder", model=FINDER)
    await client.wait_running("finder", FINDER)
    lines = await asyncio.to_thread(_lines, api, tmp_path, dataset=DATASET)
    assert lines == await asyncio.to_thread(_lines, api, tmp_path, snapshot=SNAPSHOT)
    await client.delete("finder")
    assert [line["image"] for line in lines] == [f"{DATASET}/images/{number}" for number in range(3)]
    assert [line["source"] for line in lines] == [f"camera/{number}.png" for number in range(3)]
    for line, picture in zip(lines, PICTURES, strict=True):
        assert line["image_size"] == {"width": picture.width, "height": picture.height}
        assert line["predictions"][0]["box"] == {"left": 0.25, "top": 0.0, "width": 0.75, "height": 0.5}


async def test_a_dataset_that_is_not_there(api: Client, main: str) -> None:
    wanted = BatchPredictionJob(deployment=name_of(main), dataset="projects/shop/datasets/none")
    job = await asyncio.to_thread(api.batch_predictions.begin, "shop", wanted)
    with pytest.raises(SightsmithError) as raised:
        await asyncio.to_thread(api.batch_predictions.wait, job.name)
    assert raised.value.reason == "NOT_FOUND"


def _lines(api: Client, folder: Path, **source: str) -> list[dict[str, Any]]:
    job = api.batch_predictions.begin("shop", BatchPredictionJob(deployment=name_of("finder"), **source))
    job = api.batch_predictions.wait(job.name)
    assert [job.progress.answered_count, job.progress.failed_count] == [3, 0]
    target = folder / job.name.rpartition("/")[2]
    api.batch_predictions.download(job.name, job.results[0], target)
    return [json.loads(line) for line in target.read_bytes().splitlines()]
