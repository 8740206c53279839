"""Part `uploads`: ten thousand photographs, uploaded by several streams at once."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from sightsmith.api.labeling.v1.dataset_pb2 import SPLIT_TRAIN
from sightsmith.api.labeling.v1.labeling_service_pb2 import UploadImagesResponse
from sightsmith.client import Client, ImageToUpload
from sightsmith.names import DatasetName
from tests.perf.figures import Measured
from tests.perf.progress import tell
from tests.perf.workplace import PROJECT, running_stack, wait_for_embeddings

_IMAGES = 10_000
_STREAMS = 4
_WIDTH, _HEIGHT = 320, 240
_LABELS = ("left", "right", "both")
_QUALITY = 88

_SCENE_SIDE = 2048
_OCTAVES = 9


def measure() -> Measured:
    """Uploads small JPEGs, each with a label, to the last answer."""
    with tempfile.TemporaryDirectory(prefix="sightsmith-bench-uploads-") as folder, running_stack() as (_, client):
        tell(f"writing {_IMAGES} images")
        first, *images = _write_images(Path(folder))
        client.ensure_project(PROJECT)
        dataset = DatasetName.parse(client.ensure_dataset(PROJECT, SPLIT_TRAIN).name)
        # A new stack first exports its backbones, which takes a core for a while.
        _upload(client, dataset, [first])
        wait_for_embeddings(client)
        tell(f"uploading {_IMAGES} images in {_STREAMS} streams")
        begin = time.monotonic()
        with ThreadPoolExecutor(_STREAMS) as streams:
            shares = [images[number::_STREAMS] for number in range(_STREAMS)]
            created = sum(streams.map(lambda share: _upload(client, dataset, share), shares))
        seconds = time.monotonic() - begin
        if created != _IMAGES:
            raise RuntimeError(f"only {created} of {_IMAGES} uploaded images were taken")
        return {"labeling.upload_10k_seconds": seconds}


def _upload(client: Client, dataset: DatasetName, images: Sequence[ImageToUpload]) -> int:
    answers = client.upload(dataset, images, _raise)
    return sum(answer.outcome == UploadImagesResponse.OUTCOME_CREATED for answer in answers)


def _raise(image: ImageToUpload, error: OSError) -> None:
    raise error


def _write_images(folder: Path) -> Iterator[ImageToUpload]:
    """Cuts JPEGs out of one made-up scene, no two alike, one more than are timed; the same at every run."""
    chance = np.random.default_rng(0)
    scene = _scene(chance)
    columns, rows = _SCENE_SIDE - _WIDTH, _SCENE_SIDE - _HEIGHT
    for number, place in enumerate(chance.choice(columns * rows, 1 + _IMAGES, replace=False).tolist()):
        top, left = divmod(place, columns)
        path = folder / f"{number:05}.jpg"
        scene.crop((left, top, left + _WIDTH, top + _HEIGHT)).save(path, quality=_QUALITY)
        yield ImageToUpload(path, path.name, [_LABELS[number % len(_LABELS)]])


def _scene(chance: np.random.Generator) -> Image.Image:
    """Noise of all sizes, the fine part weak: photographs have such a spectrum, and JPEGs of it such a size.

    D. Field, "Relations between the statistics of natural images and the response properties of cortical cells" (1987).
    """
    pixels = np.zeros((_SCENE_SIDE, _SCENE_SIDE, 3), np.float32)
    for octave in range(2, 2 + _OCTAVES):
        patches = chance.integers(0, 256, (2**octave, 2**octave, 3), dtype=np.uint8)
        patches[..., 1:] = patches[..., 1:] // 4 + patches[..., :1] // 4 * 3  # Colours go together.
        smooth = Image.fromarray(patches).resize((_SCENE_SIDE, _SCENE_SIDE), Image.Resampling.BICUBIC)
        pixels += (np.asarray(smooth, np.float32) - 127.5) * 0.72 ** (octave - 2)
    return Image.fromarray((pixels * 0.6 + 127.5).clip(0, 255).astype(np.uint8))
