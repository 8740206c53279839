"""Predictions through the service and a real Triton."""

import io
import math
from typing import Any

import pytest
from PIL import ExifTags, Image

from sightsmith.errors import SightsmithError
from sightsmith.stack import Stack
from tests.integration.inference.conftest import ALPHA, TOKEN, png
from tests.integration.inference.inference_client import InferenceClient, scores_of
from tests.integration.inference.tiny_models import TinyModel

SIMILAR = 1e-5


async def test_onnx_answers_what_onnxruntime_answers(
    client: InferenceClient, main: str, alpha: TinyModel, image: bytes
) -> None:
    response = await client.predict(main, image, min_confidence=0.0)
    confidences = [prediction.confidence for prediction in response.predictions]
    assert scores_of(response.predictions) == pytest.approx(alpha.scores(image), abs=SIMILAR)
    assert confidences == sorted(confidences, reverse=True)
    assert response.model == ALPHA


async def test_torchscript_answers_the_same(client: InferenceClient, alpha: TinyModel, image: bytes) -> None:
    await client.create("by-torch", model=ALPHA, runtime="RUNTIME_TORCHSCRIPT")
    deployment = await client.wait_running("by-torch", ALPHA)
    # The table that predictions go by follows the database within a moment.
    await client.wait_predicting("by-torch", image)
    response = await client.predict("by-torch", image, min_confidence=0.0)
    await client.delete("by-torch")
    assert deployment.triton_model.startswith("shop.alpha.torchscript.")
    assert scores_of(response.predictions) == pytest.approx(alpha.scores(image), abs=SIMILAR)


async def test_the_most_likely_label_unless_asked_otherwise(
    client: InferenceClient, main: str, alpha: TinyModel, image: bytes
) -> None:
    scores = alpha.scores(image)
    best = max(scores, key=scores.__getitem__)
    assert list(scores_of((await client.predict(main, image)).predictions)) == [best]
    two = await client.predict(main, image, min_confidence=0.0, max_results=2)
    assert len(two.predictions) == 2
    none = await client.predict(main, image, min_confidence=1.0)
    assert len(none.predictions) == 0


async def test_batch_larger_than_triton_takes_with_a_bad_image(
    client: InferenceClient, main: str, alpha: TinyModel
) -> None:
    images = [png(seed) for seed in range(20)]
    images[3] = b"not an image"
    images[11] = b""
    response = await client.predict_batch(main, images, min_confidence=0.0)
    assert len(response.results) == 20
    for index, (image, result) in enumerate(zip(images, response.results, strict=True)):
        if index in (3, 11):
            assert f"images[{index}]" in result.error.message
            assert not result.predictions
        else:
            assert not result.HasField("error")
            assert scores_of(result.predictions) == pytest.approx(alpha.scores(image), abs=SIMILAR)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (b"not an image", "IMAGE_UNREADABLE"),
        (png(1, side=64)[:-200], "IMAGE_TRUNCATED"),
        (png(1, side=8), "IMAGE_TOO_SMALL"),
    ],
)
async def test_bad_image(client: InferenceClient, main: str, image: bytes, reason: str) -> None:
    with pytest.raises(SightsmithError) as raised:
        await client.predict(main, image)
    assert raised.value.reason == reason
    assert [violation.field for violation in raised.value.violations] == ["image"]


@pytest.mark.parametrize(
    ("fields", "violations"),
    [
        ({"min_confidence": math.nan}, ["min_confidence"]),
        ({"min_confidence": 1.5, "max_results": -1}, ["min_confidence", "max_results"]),
        ({"images": [b"x"] * 257}, ["images"]),
    ],
)
async def test_bad_fields(client: InferenceClient, main: str, fields: dict[str, Any], violations: list[str]) -> None:
    with pytest.raises(SightsmithError) as raised:
        await client.predict_batch(main, **{"images": [png(1)], **fields})
    assert raised.value.reason == "INVALID_FIELD"
    assert [violation.field for violation in raised.value.violations] == violations


# BMP and GIF have no EXIF data.
@pytest.mark.parametrize(
    ("file_format", "orientation", "options"),
    [
        ("JPEG", 1, {"quality": 95}),
        ("JPEG", 6, {"quality": 95}),
        ("PNG", 1, {}),
        ("PNG", 6, {}),
        ("WEBP", 1, {"lossless": True}),
        ("WEBP", 6, {"lossless": True}),
        ("TIFF", 1, {}),
        ("TIFF", 6, {}),
        ("BMP", 1, {}),
        ("GIF", 1, {}),
    ],
)
async def test_every_format_in_every_call(
    client: InferenceClient, main: str, alpha: TinyModel, file_format: str, options: dict[str, Any], orientation: int
) -> None:
    image = _half_red(file_format, orientation, options)
    one = await client.predict(main, image, min_confidence=0.0)
    (of_batch,) = (await client.predict_batch(main, [image], min_confidence=0.0)).results
    (streamed,) = [answer async for answer in client.stream(main, [image], min_confidence=0.0)]
    for answer in (one, of_batch, streamed):
        assert scores_of(answer.predictions) == pytest.approx(alpha.scores(image), abs=SIMILAR)


def _half_red(file_format: str, orientation: int, options: dict[str, Any]) -> bytes:
    picture = Image.new("RGB", (48, 32), (0, 90, 30))
    picture.paste((220, 10, 10), (0, 0, 24, 32))
    data = io.BytesIO()
    if orientation != 1:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        options = {**options, "exif": exif}
    picture.save(data, file_format, **options)
    return data.getvalue()


async def test_wanted_labels_in_every_call(client: InferenceClient, main: str, alpha: TinyModel, image: bytes) -> None:
    scores = alpha.scores(image)
    asked: dict[str, Any] = {"min_confidence": 0.0, "labels": ["dark", "light"]}
    one = await client.predict(main, image, **asked)
    (of_batch,) = (await client.predict_batch(main, [image], **asked)).results
    (streamed,) = [answer async for answer in client.stream(main, [image], **asked)]
    for answer in (one, of_batch, streamed):
        assert [prediction.label for prediction in answer.predictions] == sorted(
            ["dark", "light"], key=scores.__getitem__, reverse=True
        )


@pytest.mark.parametrize(
    ("fields", "violations"),
    [
        ({"max_results": -1}, ["max_results"]),
        ({"min_confidence": -0.1, "max_results": -2}, ["min_confidence", "max_results"]),
        ({"labels": ["green", "purple", "light", "pink"]}, ["labels[1]", "labels[3]"]),
    ],
)
async def test_wrong_wishes_in_every_call(
    client: InferenceClient, main: str, image: bytes, fields: dict[str, Any], violations: list[str]
) -> None:
    async def stream() -> None:
        _ = [answer async for answer in client.stream(main, [image], **fields)]

    for call in (client.predict(main, image, **fields), client.predict_batch(main, [image], **fields), stream()):
        with pytest.raises(SightsmithError) as raised:
            await call
        assert raised.value.reason == "INVALID_FIELD"
        found = [violation.field.removeprefix("options.") for violation in raised.value.violations]
        assert found == violations


async def test_no_image(client: InferenceClient, main: str) -> None:
    for call in (client.predict(main, b""), client.predict_batch(main, [])):
        with pytest.raises(SightsmithError):
            await call


async def test_unknown_deployment(client: InferenceClient, main: str, image: bytes) -> None:
    with pytest.raises(SightsmithError, match="does not exist") as raised:
        await client.predict("nothing", image)
    assert raised.value.reason == "NOT_FOUND"


async def test_wrong_token(stack: Stack, main: str, image: bytes) -> None:
    stranger = InferenceClient(stack.endpoints.inference, f"not {TOKEN}")
    with pytest.raises(SightsmithError) as raised:
        await stranger.predict(main, image)
    await stranger.close()
    assert raised.value.reason == "INVALID_TOKEN"
