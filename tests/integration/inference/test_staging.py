"""New models are staged ahead, whole and checked, or not at all."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from google.protobuf.message import Message
from nats.js import JetStreamContext
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from sightsmith.api.events.v1.event_pb2 import ModelCreated, ModelDeleted
from sightsmith.api.inference.v1.deployment_pb2 import Deployment
from sightsmith.events.facts import event_of, subject_of
from sightsmith.stack import Stack
from sightsmith_inference.tables import DeletedModelRow, ModelRow, TritonModelRow
from tests.integration.inference.inference_client import InferenceClient
from tests.integration.inference.tiny_models import TinyModel
from tests.integration.inference.training_stand_in import TrainingStandIn

_WAIT_SECONDS = 20.0
PutModel = Callable[[str, dict[str, bytes]], None]


async def test_both_formats_are_staged_when_a_model_is_created(
    stack: Stack, client: InferenceClient, put_model: PutModel, beta: TinyModel, jetstream: JetStreamContext
) -> None:
    put_model("projects/shop/models/ahead", {"onnx": beta.onnx, "torchscript": beta.torchscript})
    await _tell_created(jetstream, "projects/shop/models/ahead")
    folders = await _staged(stack, "shop.ahead.*", 2)
    assert [folder.name.split(".")[2] for folder in folders] == ["onnx", "torchscript"]
    assert (folders[0] / "1" / "model.onnx").read_bytes() == beta.onnx
    assert (folders[1] / "1" / "model.pt").read_bytes() == beta.torchscript
    assert f'name: "{folders[0].name}"' in (folders[0] / "config.pbtxt").read_text()
    assert list(stack.endpoints.triton_repository.glob(".staging-*")) == []


async def test_staging_waits_for_a_model_that_is_not_to_be_had_yet(
    stack: Stack,
    client: InferenceClient,
    put_model: PutModel,
    beta: TinyModel,
    jetstream: JetStreamContext,
    training: tuple[TrainingStandIn, int],
) -> None:
    put_model("projects/shop/models/second", {"onnx": beta.onnx})
    await _tell_created(jetstream, "projects/shop/models/unheard-of")
    await _tell_created(jetstream, "projects/shop/models/second")
    # The one that cannot be staged does not hold up the next.
    await _staged(stack, "shop.second.*", 1)


@pytest.mark.parametrize("spoil", ["content", "path", "name"])
async def test_spoilt_artefacts_never_reach_triton(
    stack: Stack,
    client: InferenceClient,
    put_model: PutModel,
    training: tuple[TrainingStandIn, int],
    beta: TinyModel,
    spoil: str,
) -> None:
    name = f"projects/shop/models/spoilt-{spoil}"
    put_model(name, {"onnx": beta.onnx})
    model = training[0].models[name]
    if spoil == "content":
        objects = Path(stack.endpoints.object_store_url.removeprefix("file://"))
        (objects / model.artifacts[1].key).write_bytes(beta.onnx[:-1] + b"?")
    elif spoil == "path":
        model.artifacts[1].path = "../../model.onnx"
    else:
        model.artifacts[1].sha256 = "0" * 64
    await client.create(f"spoilt-{spoil}", model=name)
    failed = await client.wait_for(f"spoilt-{spoil}", Deployment.STATE_FAILED)
    await client.delete(f"spoilt-{spoil}")
    expected = {
        "content": "1/model.onnx in the object store is not the file that was exported",
        "path": "artifacts[1].path: '../../model.onnx' is not a path inside the model's folder",
        "name": "config.pbtxt: name is",
    }
    assert expected[spoil] in failed.error.message
    assert list(stack.endpoints.triton_repository.glob(f"shop.spoilt-{spoil}.*")) == []
    assert list(stack.endpoints.triton_repository.glob(".staging-*")) == []


async def test_a_deleted_model_is_forgotten_as_soon_as_no_deployment_uses_it(
    stack: Stack, client: InferenceClient, put_model: PutModel, beta: TinyModel, jetstream: JetStreamContext
) -> None:
    name, other = "projects/shop/models/deleted", "projects/shop/models/other"
    put_model(name, {"onnx": beta.onnx, "torchscript": beta.torchscript})
    await client.create("deleted", model=name)
    await client.wait_for("deleted", Deployment.STATE_RUNNING)
    await _staged(stack, "shop.deleted.*", 2)
    for model in (name, other):
        await _tell(jetstream, ModelDeleted(model=model))
    engine = create_engine(stack.endpoints.database_url)
    assert await _rows(engine, DeletedModelRow.model, until=[name]) == [name]
    await asyncio.sleep(1)
    assert len(await _staged(stack, "shop.deleted.*", 2)) == 2
    await client.delete("deleted")
    assert await _rows(engine, DeletedModelRow.model, until=[]) == []
    assert list(stack.endpoints.triton_repository.glob("shop.deleted.*")) == []
    assert list(stack.endpoints.triton_repository.glob(".staging-*")) == []
    assert name not in await _rows(engine, ModelRow.name)
    assert name not in await _rows(engine, TritonModelRow.model)
    engine.dispose()


async def _rows(
    engine: Engine, column: InstrumentedAttribute[str], until: Sequence[str] | None = None
) -> Sequence[str]:
    """What is in a column, as soon as it is what it is waited for, if it is."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        with Session(engine) as session:
            found = session.scalars(select(column)).all()
        if until in (None, found) or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.1)


async def _tell_created(jetstream: JetStreamContext, model: str) -> None:
    await _tell(jetstream, ModelCreated(model=model))


async def _tell(jetstream: JetStreamContext, fact: Message) -> None:
    event = event_of(fact)
    await jetstream.publish(subject_of(event), event.SerializeToString(), headers={"Nats-Msg-Id": event.id})


async def _staged(stack: Stack, pattern: str, count: int) -> list[Path]:
    deadline = time.monotonic() + _WAIT_SECONDS
    while len(folders := sorted(stack.endpoints.triton_repository.glob(pattern))) < count:
        assert time.monotonic() < deadline, f"{pattern}: only {folders}"
        await asyncio.sleep(0.1)
    return folders
