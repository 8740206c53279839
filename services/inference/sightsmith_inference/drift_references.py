"""What a model learned from, as a sketch: embeddings of its images, and how near to each other they are."""

import io
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from grpc import aio

from sightsmith.api.labeling.v1 import snapshot_pb2, snapshot_service_pb2, snapshot_service_pb2_grpc
from sightsmith.api.training.v1 import model_service_pb2, model_service_pb2_grpc
from sightsmith.errors import FailedPreconditionError
from sightsmith.names import BackboneName
from sightsmith.objects import Objects
from sightsmith.rpc.channel import error_of
from sightsmith_inference.settings import InferenceSettings

_TIMEOUT_SECONDS = 10.0
Vectors = npt.NDArray[np.float32]
"""Shape [images, features]."""


@dataclass(frozen=True)
class DriftReference:
    """A sketch of the images that a model learned from.

    Attributes:
        backbone: gives the embeddings to compare.
        directions: embeddings of some of the images, each of length 1; shape [images, features].
        farthest: an image that is farther than this from the nearest of them is another kind of picture.
    """

    backbone: BackboneName
    directions: Vectors
    farthest: float

    @classmethod
    def of(cls, backbone: BackboneName, vectors: Vectors, quantile: float) -> "DriftReference":
        """Finds out how far is far, by how far each of the images is from the nearest other one.

        A novelty score by the distance to the nearest neighbour (A. F. Emmott and others, 2013, compare such); the
        cosine distance, as the embeddings are searched by.

        Args:
            backbone: whose embeddings they are.
            vectors: at least 2, shape [images, features].
            quantile: share of the images that are nearer than what is far.
        """
        directions = directions_of(vectors)
        likeness = directions @ directions.T
        np.fill_diagonal(likeness, -np.inf)
        return cls(backbone, directions, float(np.quantile(1 - likeness.max(axis=1), quantile)))

    def is_far(self, vectors: Vectors) -> npt.NDArray[np.bool_]:
        """Which images resemble none of those that the model learned from, by their embeddings [images, features]."""
        far: npt.NDArray[np.bool_] = 1 - (directions_of(vectors) @ self.directions.T).max(axis=1) > self.farthest
        return far


def directions_of(vectors: Vectors) -> Vectors:
    """Embeddings with the length 1; one of zeros stays so."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions: Vectors = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return directions


class DriftReferences:
    """Makes the sketches from the embeddings that travel with the snapshots that models learned from."""

    def __init__(
        self, settings: InferenceSettings, objects: Objects, training: aio.Channel, labeling: aio.Channel
    ) -> None:
        self._quantile = settings.drift_quantile
        self._most = settings.max_drift_references
        self._objects = objects
        self._models = model_service_pb2_grpc.ModelServiceStub(training)
        self._snapshots = snapshot_service_pb2_grpc.SnapshotServiceStub(labeling)

    async def of(self, model: str) -> DriftReference:
        """The sketch for a model version.

        Raises:
            FailedPreconditionError: if the snapshot that it learned from came without enough embeddings.
            SightsmithError: if one of those who know cannot be asked.
        """
        files = await self._embedding_files(model)
        file = max(files, key=lambda file: file.image_count, default=None)
        if file is None or file.image_count < 2:
            raise FailedPreconditionError(f"the images that {model} learned from had not been embedded by then")
        try:
            vectors = await self._read(file)
        except (FileNotFoundError, ValueError) as error:
            raise FailedPreconditionError(f"the embeddings {file.key} cannot be read: {error}") from error
        return DriftReference.of(BackboneName(file.backbone), vectors, self._quantile)

    async def _embedding_files(self, model: str) -> Sequence[snapshot_pb2.EmbeddingFile]:
        try:
            request = model_service_pb2.GetModelRequest(name=model)
            snapshot = (await self._models.GetModel(request, timeout=_TIMEOUT_SECONDS)).snapshot
            asked = snapshot_service_pb2.GetSnapshotRequest(name=snapshot)
            files: Sequence[snapshot_pb2.EmbeddingFile] = (
                await self._snapshots.GetSnapshot(asked, timeout=_TIMEOUT_SECONDS)
            ).embedding_files
            return files
        except aio.AioRpcError as error:
            raise error_of(error) from error

    async def _read(self, file: snapshot_pb2.EmbeddingFile) -> Vectors:
        """Reads every so many-th record as the file comes by: it may be too large to be held."""
        every = -(-file.image_count // self._most)
        vectors: list[Vectors] = []
        kind, rest, seen = None, b"", 0
        async with aclosing(self._objects.chunks(file.key)) as chunks:
            async for chunk in chunks:
                rest += chunk
                if kind is None:
                    # The header is written in one piece, at the beginning of the first chunk.
                    kind, rest = _kind_and_records(rest)
                count = len(rest) // kind.itemsize
                records = np.frombuffer(rest, kind, count)
                vectors.append(records["vector"][-seen % every :: every].copy())
                seen, rest = seen + count, rest[count * kind.itemsize :]
        return np.concatenate(vectors)


def _kind_and_records(data: bytes) -> tuple[np.dtype[np.void], bytes]:
    file = io.BytesIO(data)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("its format is not known here")
    _, _, kind = np.lib.format.read_array_header_1_0(file)
    if kind.names is None or "vector" not in kind.names:
        raise ValueError("it holds no vectors")
    return kind, data[file.tell() :]
