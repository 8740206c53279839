"""Part `inference`: how much of what the machine can do is left when a model is asked by gRPC.

The ceiling and the served model take turns within one run, on the same model and the same JPEGs, so that a ratio says
something of the software whatever the machine and its other work are.
"""

import io
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path

import obstore
from PIL import Image, ImageOps

from sightsmith.api.inference.v1.deployment_pb2 import Deployment
from sightsmith.api.training.v1.model_pb2 import Artifact, Model
from sightsmith.client import Client
from sightsmith.client.labelled_folder import read_labelled_folder
from sightsmith.objects import open_object_store
from sightsmith.rpc.status import from_status
from tests.perf.ceiling import InProcess
from tests.perf.figures import Measured
from tests.perf.progress import tell
from tests.perf.workplace import PROJECT, deploy, import_photos, running_stack, train

_DEPLOYMENT = "live"
_IMAGE_SIZE = (640, 480)
_JPEG_QUALITY = 90
_ROUNDS = 3
# Images of one measurement of throughput, two full batches of the client, and of one of latency.
_STREAM = 128
_SINGLE = 40
_CALLERS = 8


def measure(photos: Path) -> Measured:
    """Trains a model, serves it, and measures it several times beside the same model in this process."""
    stream = list(islice(cycle(_jpegs(photos)), _STREAM))
    with running_stack() as (endpoints, client):
        import_photos(client, photos)
        model, _ = train(client, client.snapshots.take(PROJECT))
        deploy(client, _DEPLOYMENT, model, Deployment.RUNTIME_ONNX)
        in_process = InProcess(_onnx_file(endpoints.object_store_url, model), model.image_side, _cores())
        tell("warming up")
        _answer_in_batches(client, stream)
        batch = in_process.fastest_batch(stream)
        rounds = []
        for number in range(1, _ROUNDS + 1):
            tell(f"round {number} of {_ROUNDS}, beside batches of {batch} in this process")
            rounds.append(_round(client, in_process, batch, stream))
    return {name: statistics.median(values[name] for values in rounds) for name in rounds[0]}


def _round(client: Client, in_process: InProcess, batch: int, images: Sequence[bytes]) -> Measured:
    ceiling = in_process.images_per_second(images, batch)
    alone, served = _latencies(client, in_process, images[:_SINGLE])
    return {
        "inference.ceiling_images_per_second": ceiling,
        "inference.batch_vs_ceiling": _answer_in_batches(client, images) / ceiling,
        "inference.stream_vs_ceiling": _answer_in_a_stream(client, images) / ceiling,
        "inference.predict8_vs_ceiling": _answer_to_many(client, images) / ceiling,
        "inference.predict_p50_ms": 1000 * statistics.median(served),
        "inference.predict_added_p50_ms": 1000 * statistics.median(b - a for a, b in zip(alone, served, strict=True)),
    }


def _answer_in_batches(client: Client, images: Sequence[bytes]) -> float:
    """Images a second by one caller who sends batches, one after the other."""
    begin = time.monotonic()
    for result in client.predict_many(PROJECT, _DEPLOYMENT, images):
        if result.HasField("error"):
            raise from_status(result.error)
    return len(images) / (time.monotonic() - begin)


def _answer_in_a_stream(client: Client, images: Sequence[bytes]) -> float:
    """Images a second by one caller who streams them."""
    begin = time.monotonic()
    for answer in client.predict_stream(PROJECT, _DEPLOYMENT, (("", image) for image in images)):
        if answer.HasField("error"):
            raise from_status(answer.error)
    return len(images) / (time.monotonic() - begin)


def _answer_to_many(client: Client, images: Sequence[bytes]) -> float:
    """Images a second by callers who each send one image after the other."""
    with ThreadPoolExecutor(_CALLERS) as callers:
        begin = time.monotonic()
        for _ in callers.map(lambda image: client.predict(PROJECT, _DEPLOYMENT, image), images):
            pass
        return len(images) / (time.monotonic() - begin)


def _latencies(
    client: Client, in_process: InProcess, images: Sequence[bytes]
) -> tuple[Sequence[float], Sequence[float]]:
    """Seconds for each image, in this process on one core, and served to a single caller."""
    alone, served = [], []
    for image in images:
        begin = time.monotonic()
        in_process.answer([image])
        between = time.monotonic()
        client.predict(PROJECT, _DEPLOYMENT, image)
        alone.append(between - begin)
        served.append(time.monotonic() - between)
    return alone, served


def _jpegs(photos: Path) -> Iterator[bytes]:
    """The test photographs, all cut to one size."""
    for file in read_labelled_folder(photos).test:
        with Image.open(file.path) as photo:
            cut = ImageOps.fit(photo.convert("RGB"), _IMAGE_SIZE)
        buffer = io.BytesIO()
        cut.save(buffer, "JPEG", quality=_JPEG_QUALITY)
        yield buffer.getvalue()


def _onnx_file(object_store_url: str, model: Model) -> bytes:
    (key,) = (
        artifact.key
        for artifact in model.artifacts
        if artifact.format == Artifact.FORMAT_ONNX and artifact.path.endswith(".onnx")
    )
    return bytes(obstore.get(open_object_store(object_store_url), key).bytes())


def _cores() -> int:
    return len(os.sched_getaffinity(0))
