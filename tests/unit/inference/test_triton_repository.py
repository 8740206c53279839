"""Staging into a folder, from an object store that is one too."""

import asyncio
import fcntl
import hashlib
import os
from pathlib import Path

import pytest

from sightsmith.names import ModelName
from sightsmith.objects import Objects, open_object_store
from sightsmith_inference.errors import ModelNotServableError
from sightsmith_inference.models import Runtime, Task
from sightsmith_inference.trained_models import ModelFile, TrainedModel
from sightsmith_inference.triton_repository import TritonRepository

MODEL = b"a model" * 400_000
TRITON_MODEL = f"shop.v1.onnx.{hashlib.sha256(MODEL).hexdigest()[:12]}"
CONFIGURATION = f"""
name: "{TRITON_MODEL}" backend: "onnxruntime" max_batch_size: 1
input [ {{ name: "INPUT__0" data_type: TYPE_UINT8 dims: [ 8, 8, 3 ] }} ]
output [ {{ name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 1 ] }} ]
""".encode()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "objects"
    folder.mkdir()
    (folder / "model").write_bytes(MODEL)
    (folder / "config").write_bytes(CONFIGURATION)
    return folder


@pytest.fixture
def repository(tmp_path: Path, store: Path) -> TritonRepository:
    return TritonRepository(tmp_path / "triton", Objects(open_object_store(store.as_uri())))


@pytest.fixture
def trained() -> TrainedModel:
    files = [_file("config.pbtxt", "config", CONFIGURATION), _file("1/model.onnx", "model", MODEL)]
    by_path = {file.path: file for file in files}
    return TrainedModel(ModelName("shop", "v1"), Task.CLASSIFICATION, ("hen",), None, 8, {Runtime.ONNX: by_path})


def _file(path: str, key: str, content: bytes) -> ModelFile:
    return ModelFile(path, key, hashlib.sha256(content).hexdigest(), len(content))


async def test_staged_whole_and_only_once(
    tmp_path: Path, store: Path, repository: TritonRepository, trained: TrainedModel
) -> None:
    servable = await repository.stage(trained, Runtime.ONNX)
    folder = tmp_path / "triton" / servable.triton_model
    assert (folder / "1/model.onnx").read_bytes() == MODEL
    assert [path.name for path in (tmp_path / "triton").iterdir()] == [TRITON_MODEL]
    # What is staged is not fetched again.
    (store / "model").unlink()
    assert await repository.stage(trained, Runtime.ONNX) == servable


@pytest.mark.parametrize("content", [MODEL[:-1], MODEL + b"!", b"?" + MODEL[1:], b"", None])
async def test_what_is_not_the_exported_file_leaves_nothing_behind(
    tmp_path: Path, store: Path, repository: TritonRepository, trained: TrainedModel, content: bytes | None
) -> None:
    (store / "model").unlink()
    if content is not None:
        (store / "model").write_bytes(content)
    with pytest.raises(ModelNotServableError):
        await repository.stage(trained, Runtime.ONNX)
    assert list((tmp_path / "triton").iterdir()) == []


async def test_two_at_once(tmp_path: Path, store: Path, repository: TritonRepository, trained: TrainedModel) -> None:
    other = TritonRepository(tmp_path / "triton", Objects(open_object_store(store.as_uri())))
    async with asyncio.TaskGroup() as group:
        for replica in (repository, other):
            group.create_task(replica.stage(trained, Runtime.ONNX))
    assert [path.name for path in (tmp_path / "triton").iterdir()] == [TRITON_MODEL]


def test_leftovers_are_removed_unless_somebody_works_there(tmp_path: Path, repository: TritonRepository) -> None:
    dead, alive, staged = (tmp_path / "triton" / name for name in (".staging-1", ".staging-2", TRITON_MODEL))
    for folder in (dead, alive, staged):
        (folder / "1").mkdir(parents=True)
    descriptor = os.open(alive, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    repository.remove_leftovers()
    os.close(descriptor)
    assert (dead.exists(), alive.exists(), staged.exists()) == (False, True, True)
