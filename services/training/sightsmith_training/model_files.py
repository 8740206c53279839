"""The exported files of models, as they are downloaded."""

from collections.abc import AsyncIterator

from sightsmith.errors import InternalError, InvalidArgumentError, NotFoundError, OutOfRangeError
from sightsmith.names import ModelName
from sightsmith.objects import Objects
from sightsmith_training.models import Models, StoredArtifact


class ModelFiles:
    """Finds and reads exported files."""

    def __init__(self, models: Models, objects: Objects) -> None:
        self._models = models
        self._objects = objects

    async def find(self, name: ModelName, model_format: str, path: str, offset: int) -> StoredArtifact:
        """Finds a file.

        Args:
            name: of the model.
            model_format: which of its exports: `onnx` or `torchscript`.
            path: the file's place in the export's folder.
            offset: how many bytes of it are there already.

        Raises:
            NotFoundError: if there is no such model or file.
            InvalidArgumentError: if the offset is negative.
            OutOfRangeError: if the offset is after the end of the file.
        """
        if offset < 0:
            raise InvalidArgumentError.of_field("offset", f"must not be negative, not {offset}")
        for artifact in (await self._models.get(name)).artifacts:
            if (artifact.format, artifact.path) == (model_format, path):
                break
        else:
            raise NotFoundError(f"{name}: {model_format} {path[:200]}")
        if offset > artifact.size_bytes:
            raise OutOfRangeError(
                f"{path} has {artifact.size_bytes} bytes; there is nothing after {offset}",
                reason="INVALID_FIELD",
                metadata={"size_bytes": str(artifact.size_bytes)},
            )
        return artifact

    async def read(self, artifact: StoredArtifact, offset: int) -> AsyncIterator[bytes]:
        """The bytes of a file after the first `offset`, in chunks of at most 1 MiB.

        Raises:
            InternalError: if the file has vanished from the object store.
        """
        if offset == artifact.size_bytes:
            return
        try:
            async for chunk in self._objects.chunks(artifact.key, offset):
                yield chunk
        except FileNotFoundError:
            raise InternalError(f"{artifact.key} is not in the object store") from None
