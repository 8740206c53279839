"""Downloading the files of models."""

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from google.rpc import code_pb2

from sightsmith.api.training.v1 import model_service_pb2 as pb
from sightsmith.api.training.v1.model_pb2 import Artifact
from sightsmith.client import Client, SightsmithError
from sightsmith.client.calls import calling
from sightsmith.settings import MEBIBYTE

PublishModel = Callable[..., Awaitable[str]]
NewProject = Callable[[], str]
DATA = bytes(range(256)) * 10_000  # two and a half chunks


@pytest.fixture
async def name(publish_model: PublishModel, new_project: NewProject) -> str:
    return await publish_model(new_project(), {"onnx": DATA, "torchscript": b""})


def answers(client: Client, model: str, **wanted: object) -> list[pb.DownloadArtifactResponse]:
    request = pb.DownloadArtifactRequest(
        **{"name": model, "format": Artifact.FORMAT_ONNX, "path": "1/model.onnx", **wanted}
    )
    with calling():
        return list(client.models.stub.DownloadArtifact(request))


def onnx_of(client: Client, name: str) -> Artifact:
    return next(artifact for artifact in client.model(name).artifacts if artifact.path == "1/model.onnx")


@pytest.mark.parametrize("offset", [0, 1, MEBIBYTE, len(DATA) - 1, len(DATA)])
async def test_a_file_comes_from_any_offset(client: Client, name: str, offset: int) -> None:
    first, *parts = answers(client, name, offset=offset)
    assert first.artifact == onnx_of(client, name)
    assert (first.artifact.size_bytes, first.artifact.sha256) == (len(DATA), hashlib.sha256(DATA).hexdigest())
    assert first.chunk == b""
    assert b"".join(part.chunk for part in parts) == DATA[offset:]
    assert all(0 < len(part.chunk) <= MEBIBYTE and not part.HasField("artifact") for part in parts)


async def test_an_empty_file_comes_too(client: Client, name: str) -> None:
    (first,) = answers(client, name, format=Artifact.FORMAT_TORCHSCRIPT, path="1/model.pt")
    assert first.artifact.size_bytes == 0


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"offset": -1}, code_pb2.INVALID_ARGUMENT),
        ({"offset": len(DATA) + 1}, code_pb2.OUT_OF_RANGE),
        ({"path": "1/model.pt"}, code_pb2.NOT_FOUND),
        ({"path": "../config.pbtxt"}, code_pb2.NOT_FOUND),
        ({"format": 99}, code_pb2.INVALID_ARGUMENT),
        ({"format": 0}, code_pb2.INVALID_ARGUMENT),
        ({"path": ""}, code_pb2.INVALID_ARGUMENT),
        ({"name": "projects/gone/models/v1"}, code_pb2.NOT_FOUND),
    ],
)
async def test_what_is_not_there_is_refused(client: Client, name: str, wanted: dict[str, object], code: int) -> None:
    with pytest.raises(SightsmithError) as raised:
        answers(client, name, **wanted)
    assert raised.value.code == code


async def test_a_vanished_file_is_told(client: Client, name: str, store: Path) -> None:
    (store / onnx_of(client, name).key).unlink()
    with pytest.raises(SightsmithError, match="is not in the object store"):
        answers(client, name)


def test_a_download_goes_on_where_it_broke_off(client: Client, name: str, tmp_path: Path) -> None:
    artifact, came = onnx_of(client, name), []

    class BrokenError(Exception):
        """What a test throws into the middle of a download."""

    def break_off(count: int) -> None:
        came.append(count)
        if sum(came) > MEBIBYTE:
            raise BrokenError

    target = tmp_path / "model.onnx"
    with pytest.raises(BrokenError):
        client.models.download(name, artifact, target, break_off)
    assert not target.exists()
    rest: list[int] = []
    client.models.download(name, artifact, target, rest.append)
    assert target.read_bytes() == DATA
    assert sum(came) + sum(rest) == len(DATA)
    assert list(tmp_path.iterdir()) == [target]


def test_damaged_bytes_are_never_taken_for_the_file(client: Client, name: str, store: Path, tmp_path: Path) -> None:
    artifact = onnx_of(client, name)
    (store / artifact.key).write_bytes(DATA[:-1] + b"!")
    with pytest.raises(SightsmithError, match="other bytes"):
        client.models.download(name, artifact, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
