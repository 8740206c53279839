"""Part `labeling`: how fast images come in."""

import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from sightsmith.api.labeling.v1.dataset_pb2 import SPLIT_TRAIN
from sightsmith.api.labeling.v1.labeling_service_pb2 import UploadImagesResponse
from sightsmith.client import Client, ImageToUpload
from sightsmith.names import DatasetName
from tests.perf.figures import Measured
from tests.perf.progress import tell
from tests.perf.workplace import PROJECT, import_photos, running_stack

_SMALL_IMAGES = 2000
_SMALL_SIDES = (64, 128)
_LABELS = ("left", "right")
_PATCHES = 8


def measure_import(photos: Path) -> Measured:
    """Imports photographs from files, as `sightsmith import` does."""
    with running_stack() as (_, client):
        begin = time.monotonic()
        images = import_photos(client, photos)
        return {"labeling.import_images_per_second": images / (time.monotonic() - begin)}


def measure_upload() -> Measured:
    """Uploads many small images in one stream."""
    with tempfile.TemporaryDirectory(prefix="sightsmith-bench-small-") as folder, running_stack() as (_, client):
        images = _write_small_images(Path(folder))
        client.ensure_project(PROJECT)
        dataset = DatasetName.parse(client.ensure_dataset(PROJECT, SPLIT_TRAIN).name)
        tell(f"uploading {len(images)} small images")
        begin = time.monotonic()
        _upload(client, dataset, images)
        return {"labeling.upload_2k_seconds": time.monotonic() - begin}


def _upload(client: Client, dataset: DatasetName, images: list[ImageToUpload]) -> None:
    answers = list(client.upload(dataset, images, _raise))
    created = sum(answer.outcome == UploadImagesResponse.OUTCOME_CREATED for answer in answers)
    if created != len(images):
        raise RuntimeError(f"only {created} of {len(images)} uploaded images were taken")


def _raise(image: ImageToUpload, error: OSError) -> None:
    raise error


def _write_small_images(folder: Path) -> list[ImageToUpload]:
    """Writes JPEGs of soft random patches, no two alike; the same at every run."""
    chance = np.random.default_rng(0)
    images = []
    for number in range(_SMALL_IMAGES):
        size = chance.integers(*_SMALL_SIDES, size=2, endpoint=True)
        patches = chance.integers(0, 256, size=(_PATCHES, _PATCHES, 3), dtype=np.uint8)
        path = folder / f"{number:04}.jpg"
        Image.fromarray(patches).resize((int(size[0]), int(size[1])), Image.Resampling.BICUBIC).save(path)
        images.append(ImageToUpload(path, path.name, [_LABELS[number % len(_LABELS)]]))
    return images
