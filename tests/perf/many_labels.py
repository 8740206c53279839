"""A training of many labels by a worker, from the job to the version: `python -m tests.perf.many_labels [LABELS]`.

Pictures of a few colours, four a label and one of them for testing, with `fast`. Processor seconds are those of the
worker and its engine. Not part of `make bench`.
"""

import asyncio
import hashlib
import io
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from google.protobuf import json_format
from PIL import Image
from pydantic import SecretStr

from sightsmith.api.labeling.v1.dataset_pb2 import Split
from sightsmith.api.labeling.v1.snapshot_pb2 import SnapshotEntry
from sightsmith.database import Database, migrate
from sightsmith.names import ModelName, TrainingJobName
from sightsmith.objects import Objects, image_key, open_object_store
from sightsmith.stack import Stack, StackSettings
from sightsmith_training.engine.specification import TrainingOptions
from sightsmith_training.jobs import TrainingJob, TrainingJobs
from sightsmith_training.models import Models
from sightsmith_training.settings import TrainingSettings
from sightsmith_training.snapshots import TrainableSnapshot
from sightsmith_training.tables import MIGRATIONS, SCHEMA
from sightsmith_training.worker import Worker

_LABELS, _IMAGES, _SIDE = 250, 4, 64


def _picture(label: int, number: int) -> bytes:
    """Tiles of colours that belong to the label, with a little noise."""
    tiles = np.random.default_rng(label).integers(0, 256, (4, 4, 3))
    noise = np.random.default_rng((label, number)).integers(-20, 21, (_SIDE, _SIDE, 3))
    pixels = np.clip(np.kron(tiles, np.ones((_SIDE // 4, _SIDE // 4, 1), int)) + noise, 0, 255)
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "JPEG")
    return file.getvalue()


async def _snapshot(objects: Objects, labels: int) -> TrainableSnapshot:
    lines = []
    for label in range(labels):
        for number in range(_IMAGES):
            data = _picture(label, number)
            sha256 = hashlib.sha256(data).hexdigest()
            await objects.put(image_key(sha256), data)
            entry = SnapshotEntry(
                image=f"projects/shop/datasets/d/images/i-{label}-{number}",
                sha256=sha256,
                key=image_key(sha256),
                split=Split.SPLIT_TEST if number == 0 else Split.SPLIT_TRAIN,
                labels=[f"label-{label:03}"],
                width=_SIDE,
                height=_SIDE,
            )
            lines.append(json_format.MessageToJson(entry, indent=None))
    manifest = "\n".join(lines).encode()
    await objects.put("snapshots/many.jsonl", manifest)
    return TrainableSnapshot("projects/shop/snapshots/1", "snapshots/many.jsonl", hashlib.sha256(manifest).hexdigest())


def _processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


async def _trained(jobs: TrainingJobs, worker: Worker, snapshot: TrainableSnapshot) -> TrainingJob:
    job = await jobs.create("shop", snapshot, 0, None, TrainingOptions(effort="fast"))
    working = asyncio.create_task(worker.run())
    while not job.state.is_final:
        await asyncio.sleep(0.2)
        job = await jobs.get(TrainingJobName.parse(job.name))
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    return job


async def _measure(settings: TrainingSettings, labels: int) -> None:
    url = settings.database_url.get_secret_value()
    await asyncio.to_thread(migrate, url, SCHEMA, MIGRATIONS)
    database, objects = Database(url), Objects(open_object_store(settings.object_store_url))
    snapshot = await _snapshot(objects, labels)
    began, seconds = time.monotonic(), _processor_seconds()
    job = await _trained(TrainingJobs(database), Worker(settings, database), snapshot)
    took = f"{time.monotonic() - began:.1f} s wall, {_processor_seconds() - seconds:.1f} s processor"
    print(f"{job.state} after {took}: {job.error or job.model}")  # noqa: T201
    if job.model:
        model = await Models(database).get(ModelName.parse(job.model))
        print(f"{len(model.labels)} labels, macro-F1 {model.evaluation.macro_f1:.3f}")  # noqa: T201
    await database.close()


def main(labels: int) -> None:
    """Trains once."""
    with tempfile.TemporaryDirectory(prefix="sightsmith-many-labels-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL's own user must get in.
        with Stack(StackSettings(data_dir=Path(folder), free_ports=True), parts=["postgres", "nats"]) as stack:
            settings = TrainingSettings(
                token=SecretStr("a token"),
                database_url=SecretStr(stack.endpoints.database_url),
                object_store_url=stack.endpoints.object_store_url,
                work_dir=Path(folder) / "work",
                spare_process=False,
            )
            asyncio.run(_measure(settings, labels))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else _LABELS)
