"""Embeddings that came with a snapshot: features that need not be computed again.

Inference computed them from the same pixels with the same graph, so they differ from what the engine would compute by
no more than the order of additions does (1e-5). A snapshot names its files by their content: as long as they can be
read, the same snapshot gives the same features, bit by bit.
"""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import obstore
from obstore.store import ObjectStore

from sightsmith_training.engine.heads import Features
from sightsmith_training.engine.specification import EmbeddingFile

_log = logging.getLogger(__name__)


class StoredEmbeddings:
    """The embeddings of one backbone, mapped into memory. What is damaged counts as not being there."""

    def __init__(self, records: npt.NDArray[np.void]) -> None:
        """Takes records of `sha256` (hexadecimal digits) and `vector` (float32 features)."""
        self._records = records
        self._rows = {sha256: row for row, sha256 in enumerate(records["sha256"].tolist())}

    @classmethod
    def fetch(cls, store: ObjectStore, file: EmbeddingFile, features: int, folder: Path) -> "StoredEmbeddings":
        """Copies a file here and opens it.

        Args:
            store: holds the file.
            file: which one.
            features: length of a feature vector.
            folder: for the copy, which must outlive what is returned.
        """
        kind = record_type(features)
        path = folder / f"{file.sha256}.npy"
        try:
            if _download(store, file.key, path) == file.sha256:
                records = np.load(path, mmap_mode="r", allow_pickle=False)
                if records.dtype == kind and records.ndim == 1:
                    return cls(records)
            _log.warning("the embeddings in %s are not what the snapshot says and are made again", file.key)
        except (FileNotFoundError, ValueError):
            _log.warning("the embeddings in %s cannot be read and are made again", file.key)
        return cls(np.empty(0, kind))

    def find(self, sha256s: Sequence[str], into: Features) -> npt.NDArray[np.intp]:
        """Fills in what is known, and tells what is not.

        Args:
            sha256s: the images.
            into: shape [images, features]; the rows of images that are known are written.

        Returns:
            The positions of those images that are not known, ascending.
        """
        unknown = []
        for position, sha256 in enumerate(sha256s):
            row = self._rows.get(sha256.encode())
            if row is None or not _is_sound(self._records["vector"][row]):
                unknown.append(position)
            else:
                into[position] = self._records["vector"][row]
        return np.array(unknown, np.intp)


def record_type(features: int) -> np.dtype[np.void]:
    """The records of a file of embeddings."""
    return np.dtype([("sha256", "S64"), ("vector", "<f4", (features,))])


def _is_sound(vector: Features) -> bool:
    return bool(np.isfinite(vector).all() and (vector >= 0).all())


def _download(store: ObjectStore, key: str, path: Path) -> str:
    """Copies an object into a file, and returns its SHA-256."""
    digest = hashlib.sha256()
    with path.open("wb") as target:
        for chunk in obstore.get(store, key).stream():
            digest.update(chunk)
            target.write(chunk)
    return digest.hexdigest()
