"""The files of models and trainings, exported ones and those of reports, as they are downloaded."""

from collections.abc import AsyncIterator

from sightsmith.errors import InternalError, InvalidArgumentError, NotFoundError, OutOfRangeError
from sightsmith.names import ModelName, TrainingJobName
from sightsmith.objects import Objects
from sightsmith_training.jobs import TrainingJobs
from sightsmith_training.models import Models, StoredArtifact
from sightsmith_training.report_files import StoredReportFile


class ModelFiles:
    """Finds and reads files."""

    def __init__(self, models: Models, jobs: TrainingJobs, objects: Objects) -> None:
        self._models = models
        self._jobs = jobs
        self._objects = objects

    async def find(self, name: ModelName, model_format: str, path: str, offset: int) -> StoredArtifact:
        """Finds an exported file.

        Args:
            name: of the model.
            model_format: which of its exports: `onnx`, `onnx_fp16`, `onnx_int8` or `torchscript`.
            path: the file's place in the export's folder.
            offset: how many bytes of it are there already.

        Raises:
            NotFoundError: if there is no such model or file.
            InvalidArgumentError: if the offset is negative.
            OutOfRangeError: if the offset is after the end of the file.
        """
        for artifact in (await self._models.get(name)).artifacts:
            if (artifact.format, artifact.path) == (model_format, path):
                _check_offset(artifact, offset)
                return artifact
        raise NotFoundError(f"{name}: {model_format} {path[:200]}")

    async def find_of_report(self, name: ModelName | TrainingJobName, path: str, offset: int) -> StoredReportFile:
        """Finds a file of the report of a model, or of a training that failed, by its name; otherwise as `find`."""
        told = await (self._models.get(name) if isinstance(name, ModelName) else self._jobs.get(name))
        for file in told.report_files:
            if file.path == path:
                _check_offset(file, offset)
                return file
        raise NotFoundError(f"{name}: report file {path[:200]}")

    async def read(self, file: StoredArtifact | StoredReportFile, offset: int) -> AsyncIterator[bytes]:
        """The bytes of a file after the first `offset`, in chunks of at most 1 MiB.

        Raises:
            InternalError: if the file has vanished from the object store.
        """
        if offset == file.size_bytes:
            return
        try:
            async for chunk in self._objects.chunks(file.key, offset):
                yield chunk
        except FileNotFoundError:
            raise InternalError(f"{file.key} is not in the object store") from None


def _check_offset(file: StoredArtifact | StoredReportFile, offset: int) -> None:
    if offset < 0:
        raise InvalidArgumentError.of_field("offset", f"must not be negative, not {offset}")
    if offset > file.size_bytes:
        raise OutOfRangeError(
            f"{file.path} has {file.size_bytes} bytes; there is nothing after {offset}",
            reason="INVALID_FIELD",
            metadata={"size_bytes": str(file.size_bytes)},
        )
