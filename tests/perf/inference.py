"""Part `inference`: how much of what the machine can do is left when a model is asked by gRPC.

The ceiling and the served model take turns within one run, on the same model and the same JPEGs, so that a ratio says
something of the software whatever the machine and its other work are.
"""

import io
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import numpy as np
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
STREAM = 128
_SINGLE = 40
_CALLERS = 8
# Of the load that is possible, and how many calls it is watched for; more callers than ever wait.
_LOAD, _LOAD_CALLS, _LOAD_CALLERS = 0.7, 600, 64


def measure(photos: Path) -> Measured:
    """Trains a model, serves it, and measures it several times beside the same model in this process."""
    stream = list(islice(cycle(jpegs(photos)), STREAM))
    with running_stack() as (endpoints, client):
        import_photos(client, photos)
        model, _ = train(client, client.snapshots.take(PROJECT))
        deploy(client, _DEPLOYMENT, model, Deployment.RUNTIME_ONNX)
        in_process = InProcess(onnx_file(endpoints.object_store_url, model), model.image_side, cores())
        tell("warming up")
        _answer_in_batches(client, stream)
        batch = in_process.fastest_batch(stream)
        rounds = []
        for number in range(1, _ROUNDS + 1):
            tell(f"round {number} of {_ROUNDS}, beside batches of {batch} in this process")
            rounds.append(_round(client, in_process, batch, stream))
        medians = {name: statistics.median(values[name] for values in rounds) for name in rounds[0]}
        tell("asking at seven tenths of the load that is possible")
        many = medians["inference.predict8_vs_ceiling"] * medians["inference.ceiling_images_per_second"]
        ask = partial(client.predict, PROJECT, _DEPLOYMENT)
        medians["inference.p99_vs_p50_at_70"] = tail_at(ask, stream, _LOAD * many)
        medians |= _gain_of_int8(endpoints.object_store_url, model, in_process, batch, stream)
    return medians


def _round(client: Client, in_process: InProcess, batch: int, images: Sequence[bytes]) -> Measured:
    ceiling = in_process.images_per_second(images, batch)
    alone, served = _latencies(client, in_process, images[:_SINGLE])
    return {
        "inference.ceiling_images_per_second": ceiling,
        "inference.batch_vs_ceiling": _answer_in_batches(client, images) / ceiling,
        "inference.stream_vs_ceiling": _answer_in_a_stream(client, images) / ceiling,
        "inference.predict8_vs_ceiling": answer_to_many(partial(client.predict, PROJECT, _DEPLOYMENT), images)
        / ceiling,
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


def answer_to_many(ask: Callable[[bytes], object], images: Sequence[bytes]) -> float:
    """Images a second by callers who each send one image after the other."""
    with ThreadPoolExecutor(_CALLERS) as callers:
        begin = time.monotonic()
        for _ in callers.map(ask, images):
            pass
        return len(images) / (time.monotonic() - begin)


def tail_at(ask: Callable[[bytes], object], images: Sequence[bytes], per_second: float) -> float:
    """The 99th percentile of the answers' times as a multiple of their median, at a load that does not wait.

    Calls come at random (a Poisson process), however long the ones before take.
    """
    gaps = np.random.default_rng(0).exponential(1 / per_second, _LOAD_CALLS)
    seconds: list[float] = []

    def timed(image: bytes, due: float) -> None:
        ask(image)
        seconds.append(time.monotonic() - due)

    with ThreadPoolExecutor(_LOAD_CALLERS) as callers:
        due = time.monotonic()
        for image, gap in zip(cycle(images), gaps, strict=False):
            due += gap
            time.sleep(max(due - time.monotonic(), 0))
            callers.submit(timed, image, due)
    if len(seconds) < _LOAD_CALLS:
        raise RuntimeError(f"{_LOAD_CALLS - len(seconds)} of {_LOAD_CALLS} calls failed")
    median, tail = np.percentile(seconds, [50, 99])
    return float(tail / median)


def _gain_of_int8(url: str, model: Model, whole: InProcess, batch: int, images: Sequence[bytes]) -> Measured:
    """How many times as many images a second the same model answers with weights of 8 bits; nothing without them."""
    files = [artifact for artifact in model.artifacts if artifact.format == Artifact.FORMAT_ONNX_INT8]
    if not files:
        return {}
    eighth = InProcess(_artifact(url, model, Artifact.FORMAT_ONNX_INT8), model.image_side, cores())
    ratios = [eighth.images_per_second(images, batch) / whole.images_per_second(images, batch) for _ in range(_ROUNDS)]
    return {"inference.int8_vs_fp32": statistics.median(ratios)}


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


def jpegs(photos: Path) -> Iterator[bytes]:
    """The test photographs, all cut to one size."""
    for file in read_labelled_folder(photos).test:
        with Image.open(file.path) as photo:
            cut = ImageOps.fit(photo.convert("RGB"), _IMAGE_SIZE)
        buffer = io.BytesIO()
        cut.save(buffer, "JPEG", quality=_JPEG_QUALITY)
        yield buffer.getvalue()


def onnx_file(object_store_url: str, model: Model) -> bytes:
    """The exported model."""
    return _artifact(object_store_url, model, Artifact.FORMAT_ONNX)


def _artifact(object_store_url: str, model: Model, of: Artifact.Format.ValueType) -> bytes:
    (key,) = (artifact.key for artifact in model.artifacts if artifact.format == of and artifact.path.endswith(".onnx"))
    return bytes(obstore.get(open_object_store(object_store_url), key).bytes())


def cores() -> int:
    """How many may be used."""
    return len(os.sched_getaffinity(0))
