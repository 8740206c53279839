"""Models that find objects, or give an image several labels, through the service and a real Triton."""

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from sightsmith.api.inference.v1.deployment_pb2 import Deployment
from sightsmith.api.inference.v1.prediction_service_pb2 import Prediction
from sightsmith.api.training.v1.model_pb2 import LabelThreshold, Model
from tests.integration.inference.conftest import PutModel, png
from tests.integration.inference.inference_client import InferenceClient, scores_of
from tests.integration.inference.tiny_detector import LABELS, PARTS, detector_onnx, detector_torchscript
from tests.integration.inference.tiny_models import TinyModel
from tests.integration.inference.training_stand_in import TrainingStandIn

# Brightness of the parts in the order of `PARTS`; the last is black, and not found.
BRIGHTNESS = (0.4, 0.8, 0.6, 0.0)
RUNTIMES = {"onnx": Deployment.RUNTIME_ONNX, "torchscript": Deployment.RUNTIME_TORCHSCRIPT}
# Resizing blurs the borders between the parts.
BLUR = 0.06

CHOOSY = "projects/shop/models/choosy"
Found = list[tuple[str, float, tuple[float, ...]]]


@dataclass(frozen=True)
class Picture:
    """An image whose parts are of these brightnesses, upright."""

    width: int = 64
    height: int = 64
    orientation: int = 1

    def png(self, brightness: Sequence[float] = BRIGHTNESS) -> bytes:
        pixels = np.zeros((self.height, self.width), np.uint8)
        for (left, top, right, bottom), value in zip(PARTS, brightness, strict=True):
            rows = slice(int(top * self.height), int(bottom * self.height))
            pixels[rows, int(left * self.width) : int(right * self.width)] = round(255 * value)
        stored = Image.fromarray(pixels).convert("RGB")
        if self.orientation == 6:  # The camera lay on its side: viewers turn the pixels clockwise by a quarter.
            stored = stored.transpose(Image.Transpose.ROTATE_90)
        data = io.BytesIO()
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = self.orientation
        stored.save(data, "PNG", exif=exif)
        return data.getvalue()


@pytest.fixture(scope="module", params=list(RUNTIMES))
async def detector(request: pytest.FixtureRequest, client: InferenceClient, put_model: PutModel) -> AsyncIterator[str]:
    """A deployment of a detector without thresholds, by each runtime."""
    files = {"onnx": detector_onnx(), "torchscript": detector_torchscript()}
    model = f"projects/shop/models/finds-{request.param}"
    put_model(model, files, task=Model.TASK_DETECTION, labels=LABELS)
    async for deployment in _deployed(client, model, runtime=RUNTIMES[request.param]):
        yield deployment


@pytest.fixture(scope="module")
async def choosy(client: InferenceClient, put_model: PutModel) -> AsyncIterator[str]:
    """A deployment of a detector that is choosy about what is in the east."""
    thresholds = [LabelThreshold(label="east", threshold=0.9), LabelThreshold(label="west", threshold=0.3)]
    put_model(CHOOSY, {"onnx": detector_onnx()}, task=Model.TASK_DETECTION, labels=LABELS, thresholds=thresholds)
    async for deployment in _deployed(client, CHOOSY):
        yield deployment


@pytest.mark.parametrize(
    "picture", [Picture(), Picture(width=320, height=48), Picture(height=200), Picture(160, 96, orientation=6)]
)
async def test_boxes_are_shares_of_the_upright_image(client: InferenceClient, detector: str, picture: Picture) -> None:
    response = await client.predict(detector, picture.png(), min_confidence=0.2)
    assert _found(response.predictions) == [
        ("east", pytest.approx(0.8, abs=BLUR), (0.25, 0.0, 0.75, 0.5)),
        ("west", pytest.approx(0.6, abs=BLUR), (0.0, 0.5, 0.25, 0.5)),
        ("west", pytest.approx(0.4, abs=BLUR), (0.0, 0.0, 0.25, 0.5)),
    ]


@pytest.mark.parametrize(
    ("fields", "labels"),
    [
        ({}, ["east", "west"]),
        ({"min_confidence": 0.7}, ["east"]),
        ({"min_confidence": 0.99}, []),
        ({"max_results": 1}, ["east"]),
        ({"min_confidence": 0.2, "max_results": 5}, ["east", "west", "west"]),
    ],
)
async def test_a_detector_without_thresholds_answers_with_what_is_likely(
    client: InferenceClient, detector: str, fields: dict[str, Any], labels: list[str]
) -> None:
    response = await client.predict(detector, Picture().png(), **fields)
    assert [prediction.label for prediction in response.predictions] == labels


async def test_a_batch_has_each_image_its_own_boxes(client: InferenceClient, detector: str) -> None:
    images = [Picture().png(np.roll(BRIGHTNESS, turn)) for turn in range(20)]
    images[5] = b"no image"
    response = await client.predict_batch(detector, images, max_results=1)
    assert response.results[5].HasField("error")
    for turn, result in enumerate(response.results):
        if turn != 5:
            ((_, _, box),) = _found(result.predictions)
            left, top, right, bottom = PARTS[(1 + turn) % len(PARTS)].tolist()
            assert box == (left, top, right - left, bottom - top)


async def test_callers_at_once_have_each_their_own_boxes(client: InferenceClient, detector: str) -> None:
    images = [Picture().png(np.roll(BRIGHTNESS, turn)) for turn in range(24)]
    responses = await asyncio.gather(*(client.predict(detector, image, max_results=1) for image in images))
    for turn, response in enumerate(responses):
        left, top, right, bottom = PARTS[(1 + turn) % len(PARTS)].tolist()
        ((_, _, box),) = _found(response.predictions)
        assert box == (left, top, right - left, bottom - top)


async def test_everything_is_what_was_found_at_all(client: InferenceClient, detector: str) -> None:
    faint, black = Picture().png([0.2, 0.15, 0.1, 0.05]), Picture().png([0, 0, 0, 0])
    likely = await client.predict_batch(detector, [faint, black])
    assert [len(result.predictions) for result in likely.results] == [0, 0]
    everything = await client.predict_batch(detector, [faint, black], min_confidence=0.0)
    assert [len(result.predictions) for result in everything.results] == [4, 0]


async def test_thresholds_go_by_label_unless_asked_otherwise(client: InferenceClient, choosy: str) -> None:
    image = Picture().png()
    by_label = await client.predict(choosy, image)
    assert [prediction.label for prediction in by_label.predictions] == ["west", "west"]
    all_alike = await client.predict(choosy, image, min_confidence=0.7)
    assert [prediction.label for prediction in all_alike.predictions] == ["east"]


async def test_thresholds_are_changed_while_a_model_answers(
    client: InferenceClient, choosy: str, training: tuple[TrainingStandIn, int]
) -> None:
    model = training[0].models[CHOOSY]
    before = list(model.thresholds)
    model.ClearField("thresholds")
    model.thresholds.add(label="west", threshold=0.99)
    await _wait_for_labels(client, choosy, ["east"])
    model.ClearField("thresholds")
    model.thresholds.extend(before)
    await _wait_for_labels(client, choosy, ["west", "west"])


@pytest.mark.parametrize("runtime", list(RUNTIMES))
async def test_several_labels(client: InferenceClient, put_model: PutModel, runtime: str) -> None:
    tiny = TinyModel.of_seed(9, "Sigmoid")
    model = f"projects/shop/models/several-{runtime}"
    files = {"onnx": tiny.onnx, "torchscript": tiny.torchscript}
    put_model(model, files, task=Model.TASK_MULTI_LABEL_CLASSIFICATION)
    image = png(7)
    scores = tiny.scores(image)
    async for deployment in _deployed(client, model, runtime=RUNTIMES[runtime]):
        everything = await client.predict(deployment, image, min_confidence=0.0)
        likely = await client.predict(deployment, image)
        one = await client.predict(deployment, image, max_results=1)
    confidences = [prediction.confidence for prediction in everything.predictions]
    assert scores_of(everything.predictions) == pytest.approx(scores, abs=1e-5)
    assert confidences == sorted(confidences, reverse=True)
    assert not any(prediction.HasField("box") for prediction in everything.predictions)
    expected = {label for label, score in scores.items() if score >= 0.5}
    assert len(expected) == 2
    assert set(scores_of(likely.predictions)) == expected
    assert [prediction.label for prediction in one.predictions] == [max(scores, key=scores.__getitem__)]


@pytest.mark.parametrize(("share", "answers"), [(0.5, 1), (1.01, 0)])
async def test_a_model_of_one_label_answers_with_the_likeliest_if_it_reaches_its_threshold(
    client: InferenceClient, put_model: PutModel, share: float, answers: int
) -> None:
    tiny = TinyModel.of_seed(1)
    image = png(7)
    scores = tiny.scores(image)
    likeliest = max(scores, key=scores.__getitem__)
    # The others reach theirs, and are no answers all the same.
    least = dict.fromkeys(scores, 0.0) | {likeliest: min(1.0, share * scores[likeliest])}
    model = f"projects/shop/models/one-label-{answers}"
    thresholds = [LabelThreshold(label=label, threshold=value) for label, value in least.items()]
    put_model(model, {"onnx": tiny.onnx}, thresholds=thresholds)
    async for deployment in _deployed(client, model):
        response = await client.predict(deployment, image)
    assert list(scores_of(response.predictions)) == [likeliest][:answers]


@pytest.mark.parametrize(
    ("task", "files", "problem"),
    [
        # Its scores are the probabilities of independent labels, which do not sum to 1.
        (Model.TASK_CLASSIFICATION, TinyModel.of_seed(4, "Sigmoid").onnx, "scores that are no probabilities"),
        (Model.TASK_UNSPECIFIED, TinyModel.of_seed(4).onnx, "has the task 0"),
        (Model.TASK_DETECTION, TinyModel.of_seed(4).onnx, "load failed"),
    ],
)
async def test_a_model_that_does_something_else_is_not_served(
    client: InferenceClient, put_model: PutModel, task: "Model.Task.ValueType", files: bytes, problem: str
) -> None:
    model = f"projects/shop/models/other-{task}"
    put_model(model, {"onnx": files}, task=task)
    await client.create(f"other-{task}", model=model)
    failed = await client.wait_for(f"other-{task}", Deployment.STATE_FAILED)
    await client.delete(f"other-{task}")
    assert problem in failed.error.message


async def _deployed(client: InferenceClient, model: str, **fields: Any) -> AsyncIterator[str]:
    name = model.rpartition("/")[2]
    await client.create(name, model=model, **fields)
    await client.wait_running(name, model)
    await client.wait_predicting(name, png(7))
    yield name
    await client.delete(name)


async def _wait_for_labels(client: InferenceClient, deployment: str, labels: Sequence[str]) -> None:
    async with asyncio.timeout(10):
        while True:
            response = await client.predict(deployment, Picture().png())
            if [prediction.label for prediction in response.predictions] == labels:
                return
            await asyncio.sleep(0.1)


def _found(predictions: Sequence[Prediction]) -> Found:
    return [
        (found.label, found.confidence, (found.box.left, found.box.top, found.box.width, found.box.height))
        for found in predictions
    ]
