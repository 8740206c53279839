"""The embeddings that travel with a snapshot, so that a training need not compute them again."""

import hashlib
import json
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from sightsmith.database import Database
from sightsmith.objects import Objects
from sightsmith_labeling.embeddings.sketches import Vectors
from sightsmith_labeling.embeddings.store import vectors_of

_IMAGES_AT_ONCE = 500


@dataclass(frozen=True)
class EmbeddingFile:
    """Embeddings of images of a snapshot by one backbone.

    Attributes:
        backbone: its content name.
        key: of the file in the object store, made from its content.
        sha256: of the file, in lower-case hexadecimal digits.
        image_count: how many images it covers.
    """

    backbone: str
    key: str
    sha256: str
    image_count: int


class SnapshotEmbeddings:
    """Writes the embeddings of a snapshot's images, as far as they are known."""

    def __init__(self, database: Database, objects: Objects, backbones: Sequence[str]) -> None:
        self._database = database
        self._objects = objects
        self._backbones = backbones

    async def write(self, manifest: Path, folder: Path) -> Sequence[EmbeddingFile]:
        """Writes a file for each backbone that knows any of the images, and stores it.

        A file is a NumPy array (`.npy`) of records `sha256` (64 hexadecimal digits) and `vector` (little-endian
        float32), in the manifest's order. It can be mapped into memory and is written without being held there.

        Args:
            manifest: JSON Lines, with a field `sha256` each.
            folder: for the files while they are written.
        """
        files = [await self._write(backbone, manifest, folder) for backbone in self._backbones]
        return [file for file in files if file is not None]

    async def _write(self, backbone: str, manifest: Path, folder: Path) -> EmbeddingFile | None:
        records = folder / f"{backbone}.records"
        count, features = 0, 0
        with records.open("wb") as target:
            async for sha256, vector in self._known(backbone, manifest):
                target.write(sha256.encode() + vector.tobytes())
                count, features = count + 1, len(vector)
        if count == 0:
            return None
        path = folder / f"{backbone}.npy"
        sha256 = _with_header(records, path, count, features)
        file = EmbeddingFile(backbone, f"snapshots/embeddings/{sha256}.npy", sha256, count)
        await self._objects.put_file(file.key, path)
        return file

    async def _known(self, backbone: str, manifest: Path) -> AsyncIterator[tuple[str, Vectors]]:
        """The embeddings that there are, each once, in the manifest's order."""
        with manifest.open("rb") as lines:
            sha256s = _distinct(json.loads(line)["sha256"] for line in lines)
            while part := list(islice(sha256s, _IMAGES_AT_ONCE)):
                async with self._database.transaction() as session:
                    vectors = await vectors_of(session, part, backbone)
                for sha256 in part:
                    if sha256 in vectors:
                        yield sha256, vectors[sha256]


def _distinct(sha256s: Iterator[str]) -> Iterator[str]:
    seen: set[str] = set()
    for sha256 in sha256s:
        if sha256 not in seen:
            seen.add(sha256)
            yield sha256


def _with_header(records: Path, path: Path, count: int, features: int) -> str:
    """Puts the header before the records, now that their number is known; returns the SHA-256 of the whole."""
    kind = np.dtype([("sha256", "S64"), ("vector", "<f4", (features,))])
    with path.open("w+b") as target, records.open("rb") as source:
        header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": (count,)}
        np.lib.format.write_array_header_1_0(target, header)
        shutil.copyfileobj(source, target)
        target.seek(0)
        digest = hashlib.file_digest(target, "sha256").hexdigest()
    records.unlink()
    return digest
