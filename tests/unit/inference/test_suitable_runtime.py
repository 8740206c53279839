"""Which export of a model is put into service."""

import pytest

from sightsmith.api.training.v1 import model_pb2
from sightsmith.names import ModelName
from sightsmith_inference.models import (
    RECOMMENDED,
    Processor,
    Runtime,
    RuntimeWish,
    ServableModel,
    runtime_wish,
    suitable,
)
from sightsmith_inference.trained_models import trained_model_of


def servable(runtime: Runtime, *recommended_for: Processor) -> ServableModel:
    name = f"shop.v1.{runtime}.0123456789ab"
    model = "projects/shop/models/v1"
    return ServableModel(name, model, runtime, ("a",), 8, 8, recommended_for=frozenset(recommended_for))


FULL = {runtime: servable(runtime) for runtime in (Runtime.ONNX, Runtime.TORCHSCRIPT)}
VARIANTS = {
    Runtime.ONNX_INT8: servable(Runtime.ONNX_INT8, Processor.CPU),
    Runtime.ONNX_FP16: servable(Runtime.ONNX_FP16, Processor.GPU),
}


@pytest.mark.parametrize(
    ("staged", "wish", "processor", "expected"),
    [
        (FULL, RECOMMENDED, Processor.CPU, [Runtime.ONNX]),
        (FULL | VARIANTS, RECOMMENDED, Processor.CPU, [Runtime.ONNX_INT8, Runtime.ONNX]),
        (FULL | VARIANTS, RECOMMENDED, Processor.GPU, [Runtime.ONNX_FP16, Runtime.ONNX]),
        ({Runtime.ONNX: servable(Runtime.ONNX, Processor.CPU)}, RECOMMENDED, Processor.CPU, [Runtime.ONNX]),
        ({Runtime.TORCHSCRIPT: FULL[Runtime.TORCHSCRIPT]}, RECOMMENDED, Processor.CPU, []),
        (FULL | VARIANTS, Runtime.ONNX, Processor.CPU, [Runtime.ONNX]),
        (FULL | VARIANTS, Runtime.ONNX_FP16, Processor.CPU, [Runtime.ONNX_FP16]),
        (FULL, Runtime.ONNX_INT8, Processor.CPU, []),
    ],
)
def test_what_suits_a_wish(
    staged: dict[Runtime, ServableModel], wish: RuntimeWish, processor: Processor, expected: list[Runtime]
) -> None:
    assert [each.runtime for each in suitable(staged, wish, processor)] == expected


def test_wishes_are_read_as_they_were_written() -> None:
    wishes: list[RuntimeWish] = [RECOMMENDED, *Runtime]
    assert [runtime_wish(str(wish)) for wish in wishes] == wishes


def test_what_is_not_known_is_not_recommended() -> None:
    recommend = model_pb2.Recommendation
    recommended = {
        recommend.RUNTIME_ONNXRUNTIME_CPU: model_pb2.Artifact.FORMAT_ONNX_INT8,
        recommend.RUNTIME_ONNXRUNTIME_CUDA: 77,
        recommend.RUNTIME_TENSORRT: model_pb2.Artifact.FORMAT_ONNX_FP16,
        78: model_pb2.Artifact.FORMAT_ONNX,
    }
    model = model_pb2.Model(task=model_pb2.Model.TASK_CLASSIFICATION, labels=["a"], image_side=8)
    for runtime, model_format in recommended.items():
        model.recommendations.add(runtime=runtime, format=model_format)
    trained = trained_model_of(ModelName("shop", "v1"), model)
    assert trained.recommended == {Processor.CPU: Runtime.ONNX_INT8}
