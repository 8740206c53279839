"""Reading the manifest of a snapshot, image by image."""

import heapq
import json
import tempfile
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sightsmith.errors import InternalError
from sightsmith.objects import Objects
from sightsmith_labeling.annotations import Box
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.snapshots.snapshots import Snapshot


@dataclass(frozen=True)
class SnapshotImage:
    """An image as a snapshot has it.

    Attributes:
        image: its name.
        labels: of the whole image, ordered.
        boxes: each with its label, ordered as in the manifest.
    """

    image: str
    sha256: str
    split: Split
    labels: tuple[str, ...]
    boxes: tuple[tuple[str, Box], ...]
    source: str
    width: int
    height: int


@asynccontextmanager
async def downloaded(objects: Objects, snapshot: Snapshot) -> AsyncIterator[Path]:
    """The manifest of a snapshot as a file, for as long as the block lasts.

    Raises:
        InternalError: if it is not in the object store.
    """
    with tempfile.TemporaryDirectory(prefix="sightsmith-snapshot-") as folder:
        path = Path(folder, "manifest.jsonl")
        try:
            await objects.get_file(snapshot.manifest_key, path)
        except FileNotFoundError:
            raise InternalError(f"the manifest {snapshot.manifest_key} is not in the object store") from None
        yield path


def read_images(manifest: Path, snapshot: Snapshot) -> Generator[SnapshotImage, None, None]:
    """The images of a manifest in the order of their SHA-256, both splits together."""
    with manifest.open("rb") as train, manifest.open("rb") as test:
        # A manifest has the training images first.
        lines = (islice(train, snapshot.train_image_count), islice(test, snapshot.train_image_count, None))
        parts = (map(_read, part) for part in lines)
        yield from heapq.merge(*parts, key=lambda image: (image.sha256, image.image))


def _read(line: bytes) -> SnapshotImage:
    entry = json.loads(line)
    return SnapshotImage(
        image=entry["image"],
        sha256=entry["sha256"],
        split=Split[entry["split"].removeprefix("SPLIT_")],
        labels=tuple(entry["labels"]),
        # Snapshots that were taken before there were boxes have neither boxes nor sizes.
        boxes=tuple((found["label"], Box(**found["box"])) for found in entry.get("boxes", ())),
        source=entry["source"],
        width=entry.get("width", 0),
        height=entry.get("height", 0),
    )
