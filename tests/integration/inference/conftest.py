"""The inference service in a process of its own, with real servers under it."""

import io
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import nats
import numpy as np
import pytest
from nats.js import JetStreamContext
from PIL import Image
from pydantic import SecretStr

from sightsmith.client import Client
from sightsmith.client.connection import Connection
from sightsmith.settings import Settings
from sightsmith.stack import Stack, StackSettings
from tests.integration.inference.inference_client import InferenceClient
from tests.integration.inference.labeling_stand_in import LabelingStandIn
from tests.integration.inference.tiny_models import TinyModel, model_message
from tests.integration.inference.training_stand_in import TrainingStandIn
from tests.integration.inference.triton_probe import TritonProbe

TOKEN = "a token for the inference tests"
# Small pieces, so that a job of a hundred images has many, and is looked after often.
BATCH_SETTINGS = {
    "BATCH_SHARD_IMAGES": "8",
    "BATCH_CHUNK_IMAGES": "4",
    "BATCH_LOOK_SECONDS": "0.2",
    "BATCH_LEASE_SECONDS": "1",
    "BATCH_REQUEUE_SECONDS": "2",
}
# As soon as there is anything to see.
SCALE_SETTINGS = {
    "SCALE_LOOK_SECONDS": "0.3",
    "SCALE_WINDOW_SECONDS": "1",
    "SCALE_UP_QUEUE_SECONDS": "0.01",
    "SCALE_UP_AFTER_SECONDS": "0.5",
    "SCALE_DOWN_AFTER_SECONDS": "1",
    "LAST_USE_SECONDS": "0.5",
    "PROFILE_SECONDS": "1",
}
PutModel: TypeAlias = Callable[..., None]
ALPHA, BETA, BROKEN, CORRUPT = (f"projects/shop/models/{name}" for name in ("alpha", "beta", "broken", "corrupt"))


@pytest.fixture(scope="session")
def alpha() -> TinyModel:
    return TinyModel.of_seed(1)


@pytest.fixture(scope="session")
def beta() -> TinyModel:
    return TinyModel.of_seed(2)


@pytest.fixture(scope="session")
async def training() -> AsyncIterator[tuple[TrainingStandIn, int]]:
    """The stand-in for the training service, and its port."""
    stand_in = TrainingStandIn()  # type: ignore[abstract]  # what inference never calls answers UNIMPLEMENTED
    server, address = await stand_in.start(Settings(token=SecretStr(TOKEN), listen="127.0.0.1:0"))
    yield stand_in, int(address.rpartition(":")[2])
    await server.stop()


@pytest.fixture(scope="session")
async def labeling() -> AsyncIterator[tuple[LabelingStandIn, int]]:
    """The stand-in for the labeling service, and its port."""
    stand_in = LabelingStandIn()  # type: ignore[abstract]  # what inference never calls answers UNIMPLEMENTED
    server, address = await stand_in.start(Settings(token=SecretStr(TOKEN), listen="127.0.0.1:0"))
    yield stand_in, int(address.rpartition(":")[2])
    await server.stop()


@pytest.fixture(scope="session")
def stack(training: tuple[TrainingStandIn, int], labeling: tuple[LabelingStandIn, int]) -> Iterator[Stack]:
    """PostgreSQL, NATS, Triton and the service, which waits less than it would in earnest."""
    # Not a folder of pytest's own: PostgreSQL's system user could not reach it.
    folder = Path(tempfile.mkdtemp(prefix="sightsmith-tests-"))
    (folder / "admin-token").write_text(TOKEN)
    _, port = training
    settings = StackSettings(data_dir=folder, free_ports=True, training_port=port, labeling_port=labeling[1])
    try:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("SIGHTSMITH_UNLOAD_DELAY_SECONDS", "1.5")
            environment.setenv("SIGHTSMITH_LEASE_SECONDS", "3")
            environment.setenv("SIGHTSMITH_SHADOW_FIGURES_SECONDS", "0.2")
            environment.setenv("SIGHTSMITH_THRESHOLDS_REFRESH_SECONDS", "0.5")
            for name, value in {**BATCH_SETTINGS, **SCALE_SETTINGS}.items():
                environment.setenv(f"SIGHTSMITH_{name}", value)
            environment.setenv("SIGHTSMITH_PREDICTION_SOURCES", f'["{(folder / "pictures").as_uri()}/"]')
            with Stack(settings, parts=["postgres", "nats", "triton", "inference"]) as stack:
                yield stack
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def put_model(stack: Stack, training: tuple[TrainingStandIn, int]) -> PutModel:
    """Makes a model version with these files, by format, and fields known to the training service."""
    objects = Path(stack.endpoints.object_store_url.removeprefix("file://"))

    def put(name: str, files: dict[str, bytes], **fields: Any) -> None:
        training[0].models[name] = model_message(name, files, objects, **fields)

    return put


@pytest.fixture(scope="session")
async def client(
    stack: Stack, put_model: PutModel, alpha: TinyModel, beta: TinyModel
) -> AsyncIterator[InferenceClient]:
    """A client of the service, with the models `alpha`, `beta` and `broken` there to be deployed."""
    put_model(ALPHA, {"onnx": alpha.onnx, "torchscript": alpha.torchscript})
    put_model(BETA, {"onnx": beta.onnx})
    put_model(BROKEN, {"onnx": b"these bytes are no model"})
    client = InferenceClient(stack.endpoints.inference, TOKEN)
    yield client
    await client.close()


@pytest.fixture(scope="session")
def api(stack: Stack) -> Iterator[Client]:
    """The client that users have."""
    endpoints = stack.endpoints
    connection = Connection(endpoints.labeling, endpoints.training, endpoints.inference, SecretStr(TOKEN))
    with Client(connection) as client:
        yield client


@pytest.fixture(scope="session")
async def deployed(client: InferenceClient) -> str:
    """A deployment of `alpha` by ONNX Runtime."""
    await client.create("main", model=ALPHA)
    await client.wait_running("main", ALPHA)
    return "main"


@pytest.fixture
async def main(client: InferenceClient, deployed: str) -> str:
    """A deployment of `alpha` that answers. Tests leave it as they find it, but for what they kill coming back."""
    await client.wait_predicting(deployed, png(7))
    return deployed


@pytest.fixture
def image() -> bytes:
    return png(7)


def png(seed: int, side: int = 32) -> bytes:
    """An image of random blocks of colour."""
    blocks = np.random.default_rng(seed).integers(0, 256, size=(4, 4, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(blocks).resize((side, side), Image.Resampling.NEAREST).save(data, "PNG")
    return data.getvalue()


@pytest.fixture(scope="session")
async def triton(stack: Stack) -> AsyncIterator[TritonProbe]:
    probe = TritonProbe(stack.endpoints.triton_target)
    yield probe
    await probe.close()


@pytest.fixture(scope="session")
async def jetstream(stack: Stack) -> AsyncIterator[JetStreamContext]:
    assert stack.endpoints.nats_token_file is not None
    token = stack.endpoints.nats_token_file.read_text().strip()
    connection = await nats.connect(stack.endpoints.nats_url, token=token)
    yield connection.jetstream()
    await connection.close()
