"""Before a model gets traffic it must say of stored images what its training recorded."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from sightsmith.api.training.v1.evaluation_pb2 import EvaluatedImage
from sightsmith.objects import image_key
from sightsmith.rpc.status import from_status
from sightsmith.stack import Stack
from tests.integration.inference.conftest import ALPHA, PutModel, png
from tests.integration.inference.inference_client import InferenceClient
from tests.integration.inference.labeling_stand_in import LabelingStandIn
from tests.integration.inference.tiny_models import LABELS, TinyModel
from tests.integration.inference.training_stand_in import TrainingStandIn

IMAGES = [f"projects/shop/datasets/photos/images/checked-{index}" for index in range(4)]


def _judge(
    stack: Stack,
    training: TrainingStandIn,
    labeling: LabelingStandIn,
    model: str,
    scores: Sequence[dict[str, float]],
    there: Sequence[int],
) -> None:
    """Lets the training service tell of test images, of which those that are `there` were not deleted."""
    objects = Path(stack.endpoints.object_store_url.removeprefix("file://"))
    for index in there:
        data = png(index)
        digest = hashlib.sha256(data).hexdigest()
        (objects / image_key(digest)).parent.mkdir(parents=True, exist_ok=True)
        (objects / image_key(digest)).write_bytes(data)
        labeling.hashes[IMAGES[index]] = digest
    training.judged[model] = [
        EvaluatedImage(image=image, scores=[row[label] for label in LABELS])
        for image, row in zip(IMAGES, scores, strict=True)
    ]


async def test_a_model_that_says_what_was_recorded_is_served(
    stack: Stack,
    client: InferenceClient,
    put_model: PutModel,
    training: tuple[TrainingStandIn, int],
    labeling: tuple[LabelingStandIn, int],
) -> None:
    tiny, model = TinyModel.of_seed(5), "projects/shop/models/as-recorded"
    put_model(model, {"onnx": tiny.onnx})
    _judge(stack, training[0], labeling[0], model, [tiny.scores(png(index)) for index in range(4)], there=[0, 1, 3])
    await client.create("as-recorded", model=model)
    await client.wait_running("as-recorded", model)
    await client.delete("as-recorded")
    lines = (stack.endpoints.data_dir / "logs" / "inference.log").read_text().splitlines()
    (told,) = [json.loads(line) for line in lines if "model checked" in line and "shop.as-recorded." in line]
    assert (told["images"], told["differing"]) == (3, 0)


async def test_a_model_that_says_something_else_never_serves(
    stack: Stack,
    client: InferenceClient,
    put_model: PutModel,
    training: tuple[TrainingStandIn, int],
    labeling: tuple[LabelingStandIn, int],
) -> None:
    tiny, model = TinyModel.of_seed(6), "projects/shop/models/otherwise"
    put_model(model, {"onnx": tiny.onnx})
    scores = [tiny.scores(png(index)) for index in range(4)]
    first, *others = scores[1].values()
    scores[1] = dict(zip(LABELS, [*others, first], strict=True))
    _judge(stack, training[0], labeling[0], model, scores, there=range(4))
    await client.create("otherwise", model=ALPHA)
    await client.wait_running("otherwise", ALPHA)
    await client.update("otherwise", model=model)
    kept = await client.wait_running("otherwise", ALPHA)
    await client.delete("otherwise")
    assert "1 of 4 stored images" in kept.error.message
    assert f"{IMAGES[1]}: " in kept.error.message
    assert from_status(kept.error).reason == "CHECK_FAILED"
