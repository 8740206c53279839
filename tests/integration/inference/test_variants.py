"""Models of fewer bits are deployed where they are asked for or recommended."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from sightsmith.api.inference.v1.deployment_pb2 import Deployment
from sightsmith.api.training.v1.model_pb2 import Artifact, Recommendation, Variant
from sightsmith.images import decode_square
from sightsmith_training.engine.variants.making import make_variants
from sightsmith_training.engine.variants.running import open_model
from sightsmith_training.engine.variants.variant import Judge, VariantSettings
from tests.integration.inference.conftest import png
from tests.integration.inference.inference_client import InferenceClient, scores_of
from tests.integration.inference.tiny_models import LABELS, SIDE, TinyModel, checked

PutModel = Callable[..., None]


def convolution() -> bytes:
    """A classifier by a small convolution, whose layer has fewer bits in a variant."""
    random = np.random.default_rng(3)
    nodes = [
        helper.make_node("Cast", ["INPUT__0"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["numbers"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "kernels"], ["maps"], name="convolution"),
        helper.make_node("Relu", ["maps"], ["rectified"]),
        helper.make_node("ReduceMean", ["rectified", "axes"], ["means"], keepdims=0),
        helper.make_node("MatMul", ["means", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["OUTPUT__0"], axis=1),
    ]
    constants = [
        numpy_helper.from_array(random.normal(0, 0.02, (8, 3, 3, 3)).astype(np.float32), "kernels"),
        numpy_helper.from_array(random.normal(0, 0.1, (8, len(LABELS))).astype(np.float32), "weights"),
        numpy_helper.from_array(np.array([2, 3], dtype=np.int64), "axes"),
    ]
    inputs = [helper.make_tensor_value_info("INPUT__0", TensorProto.UINT8, ["batch", SIDE, SIDE, 3])]
    outputs = [helper.make_tensor_value_info("OUTPUT__0", TensorProto.FLOAT, ["batch", len(LABELS)])]
    return checked(helper.make_graph(nodes, "convolution", inputs, outputs, constants))


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """The full model and its variants, by format."""
    full = convolution()
    pixels = np.random.default_rng(4).integers(0, 256, (8, SIDE, SIDE, 3), np.uint8)
    variants = make_variants(full, pixels, pixels, Judge(lambda answers: 0.5), VariantSettings())
    assert all(variant.kept for variant in variants), variants
    return {"onnx": full, **{variant.format: variant.data for variant in variants}}


def recommending(model_format: Artifact.Format.ValueType) -> dict[str, Any]:
    runtime = Recommendation.RUNTIME_ONNXRUNTIME_CPU
    return {"recommendations": [Recommendation(runtime=runtime, format=model_format)]}


def expected(files: Mapping[str, bytes], model_format: str, image: bytes) -> dict[str, float]:
    (scores,) = open_model(files[model_format])(decode_square(image, SIDE)[None])
    return dict(zip(LABELS, scores[0].tolist(), strict=True))


async def test_what_is_recommended_answers_until_something_else_is_asked_for(
    client: InferenceClient, put_model: PutModel, files: dict[str, bytes]
) -> None:
    model, image = "projects/shop/models/smaller", png(7)
    put_model(model, files, **recommending(Artifact.FORMAT_ONNX_INT8))
    await client.create("smaller", model=model)
    for runtime, model_format in (
        (Deployment.RUNTIME_UNSPECIFIED, "onnx_int8"),
        (Deployment.RUNTIME_ONNX_FP16, "onnx_fp16"),
        (Deployment.RUNTIME_ONNX, "onnx"),
        (Deployment.RUNTIME_UNSPECIFIED, "onnx_int8"),
    ):
        await client.update("smaller", ["runtime"], runtime=runtime)
        found = await client.wait_running("smaller", model)
        assert found.runtime == runtime
        assert found.serving_runtime == Deployment.Runtime.Value(f"RUNTIME_{model_format.upper()}")
        assert found.triton_model.startswith(f"shop.smaller.{model_format}.")
        await _wait_for_scores(client, image, expected(files, model_format, image))
    await client.delete("smaller")


async def _wait_for_scores(client: InferenceClient, image: bytes, scores: dict[str, float]) -> None:
    """What serves is known in the database a moment before calls are answered by it."""
    deadline = time.monotonic() + 10
    while True:
        await client.wait_predicting("smaller", image)
        answer = await client.predict("smaller", image, min_confidence=0.0)
        if (found := scores_of(answer.predictions)) == pytest.approx(scores, abs=1e-3):
            return
        assert time.monotonic() < deadline, f"{found}, not {scores}"
        await asyncio.sleep(0.1)


async def test_the_full_model_answers_where_what_is_recommended_cannot(
    client: InferenceClient, put_model: PutModel, beta: TinyModel
) -> None:
    model = "projects/shop/models/over-recommended"
    files = {"onnx": beta.onnx, "onnx_int8": b"these bytes are no model"}
    put_model(model, files, **recommending(Artifact.FORMAT_ONNX_INT8))
    await client.create("over-recommended", model=model)
    found = await client.wait_running("over-recommended", model)
    assert found.serving_runtime == Deployment.RUNTIME_ONNX
    await client.update("over-recommended", runtime=Deployment.RUNTIME_ONNX_INT8)
    refused = await client.wait_running("over-recommended", model)
    assert "load failed" in refused.error.message
    assert refused.serving_runtime == Deployment.RUNTIME_ONNX
    await client.delete("over-recommended")


async def test_what_was_tried_and_not_kept_is_refused_with_the_reason(
    client: InferenceClient, put_model: PutModel, beta: TinyModel
) -> None:
    model, reason = "projects/shop/models/not-smaller", "its figure is 0.5 where the full model's is 0.9"
    tried = [
        Variant(format=Artifact.FORMAT_ONNX_INT8, reason=reason),
        Variant(format=Artifact.FORMAT_ONNX, kept=True, reason="of no interest"),
    ]
    put_model(model, {"onnx": beta.onnx}, variants=tried)
    await client.create("not-smaller", model=model)
    await client.wait_running("not-smaller", model)
    for runtime, told in (
        (Deployment.RUNTIME_ONNX_INT8, f"was not exported for onnx_int8: {reason}"),
        (Deployment.RUNTIME_ONNX_FP16, "was not exported for onnx_fp16: its training did not try that"),
    ):
        await client.update("not-smaller", ["runtime"], runtime=runtime)
        refused = await client.wait_running("not-smaller", model)
        assert refused.error.message == f"{model} {told}"
    await client.delete("not-smaller")
