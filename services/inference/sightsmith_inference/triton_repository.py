"""The folder that Triton loads models from: files come in whole and checked, or not at all."""

import asyncio
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from sightsmith.folder_locks import locked
from sightsmith.logs import get_logger
from sightsmith.objects import Objects
from sightsmith_inference.errors import ModelNotServableError, dependency_unavailable
from sightsmith_inference.model_configuration import CONFIGURATION_FILE, read_configuration
from sightsmith_inference.models import Runtime, ServableModel
from sightsmith_inference.trained_models import ModelFile, TrainedModel

# Hidden and under a name that no model can have, on the same filesystem, so that a rename makes it visible whole.
_DRAFT_PREFIX = ".staging-"
_MAX_CONFIGURATION_BYTES = 1024 * 1024
_log = get_logger(__name__)


class TritonRepository:
    """A model repository with one immutable folder per model version and format."""

    def __init__(self, folder: Path, objects: Objects) -> None:
        """Opens the repository; its folder is made if need be.

        Args:
            folder: what Triton was given as `--model-repository`.
            objects: where the exported files are kept.
        """
        self._folder = folder
        self._objects = objects
        folder.mkdir(parents=True, exist_ok=True)

    def has(self, triton_model: str) -> bool:
        """Whether a model is staged."""
        return (self._folder / triton_model).is_dir()

    def remove_leftovers(self) -> None:
        """Removes half-written folders whose writers are gone. Those of living replicas are locked, and stay."""
        for draft in self._folder.glob(f"{_DRAFT_PREFIX}*"):
            # Another replica that starts at the same time may be quicker.
            with suppress(FileNotFoundError), locked(draft) as is_ours:
                if is_ours:
                    _log.info("removing what an interrupted staging left behind", folder=draft.name)
                    shutil.rmtree(draft, ignore_errors=True)

    def remove(self, triton_model: str) -> None:
        """Removes the folder of a model that Triton has not loaded; nothing happens if there is none.

        Raises:
            UnavailableError: if the folder cannot be written.
        """
        draft = self._folder / f"{_DRAFT_PREFIX}{uuid.uuid4().hex}"
        with _reading_and_writing(triton_model):
            try:
                # Out of sight at once, whole; should this process die, it is a leftover.
                (self._folder / triton_model).rename(draft)
            except FileNotFoundError:
                return
            shutil.rmtree(draft, ignore_errors=True)

    async def stage(self, trained: TrainedModel, runtime: Runtime) -> ServableModel:
        """Puts a model version in one format into the repository; does nothing if it is there.

        Raises:
            ModelNotServableError: if a file is missing, is not the one that was exported, or cannot be served.
            UnavailableError: if the object store cannot be read or the folder not be written.
        """
        files = trained.files.get(runtime, {})
        servable = read_configuration(await self.configuration(files), trained, runtime)
        await self.put(servable.triton_model, files)
        return servable

    async def put(self, triton_model: str, files: Mapping[str, ModelFile]) -> None:
        """Puts the folder of a model into the repository; does nothing if it is there.

        Args:
            triton_model: the name of the folder, which stands for exactly these files.
            files: by their path in the folder.

        Raises:
            ModelNotServableError: if a file is missing or is not the one that was exported.
            UnavailableError: if the object store cannot be read or the folder not be written.
        """
        with _reading_and_writing(triton_model):
            if not self.has(triton_model):
                await self._write(triton_model, files)

    async def configuration(self, files: Mapping[str, ModelFile]) -> bytes:
        """Reads the configuration among a model's files; raises as `put` does."""
        with _reading_and_writing("the model"):
            return await self._configuration(files)

    def configuration_text(self, triton_model: str) -> str:
        """The configuration of a model that is staged.

        Raises:
            ModelNotServableError: if it is gone.
            UnavailableError: if the folder cannot be read.
        """
        with _reading_and_writing(triton_model):
            return (self._folder / triton_model / CONFIGURATION_FILE).read_text()

    async def _configuration(self, files: Mapping[str, ModelFile]) -> bytes:
        file = files.get(CONFIGURATION_FILE)
        if file is None:
            raise ModelNotServableError(f"{CONFIGURATION_FILE} is missing among the model's files")
        if file.size_bytes > _MAX_CONFIGURATION_BYTES:
            raise ModelNotServableError(f"{CONFIGURATION_FILE} has {file.size_bytes} bytes, which cannot be right")
        text = await self._objects.get(file.key)
        _check(file, len(text), hashlib.sha256(text).hexdigest())
        return text

    async def _write(self, triton_model: str, files: Mapping[str, ModelFile]) -> None:
        draft = self._folder / f"{_DRAFT_PREFIX}{uuid.uuid4().hex}"
        draft.mkdir()
        try:
            with locked(draft):
                for file in files.values():
                    await self._download(file, draft / file.path)
                await asyncio.to_thread(_publish, draft, self._folder / triton_model)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        _log.info("model staged", triton_model=triton_model)

    async def _download(self, file: ModelFile, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        digest, size = hashlib.sha256(), 0
        with path.open("wb") as target:
            async for chunk in self._objects.chunks(file.key):
                digest.update(chunk)
                size += len(chunk)
                if size > file.size_bytes:
                    break
                target.write(chunk)
            _check(file, size, digest.hexdigest())
            target.flush()
            await asyncio.to_thread(os.fsync, target.fileno())


@contextmanager
def _reading_and_writing(model: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise ModelNotServableError(f"a file of {model} is not in the object store: {error}") from error
    except OSError as error:
        raise dependency_unavailable("Triton repository", str(error)) from error


def _check(file: ModelFile, size: int, sha256: str) -> None:
    if (size, sha256) != (file.size_bytes, file.sha256):
        raise ModelNotServableError(f"{file.path} in the object store is not the file that was exported")


def _publish(draft: Path, final: Path) -> None:
    for folder in (*(path for path in draft.rglob("*") if path.is_dir()), draft):
        _sync(folder)
    try:
        draft.rename(final)
    except OSError:
        # Another replica was quicker, and what it staged is the same: the name stands for the bytes.
        if not final.is_dir():
            raise
    _sync(final.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
