"""The `config.pbtxt` of a model version, for NVIDIA's stock Triton and for the embedded one alike."""

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as triton

from sightsmith_training.engine.contract import INPUT_NAME, OUTPUT_NAME

# Bigger batches are slower per image on a CPU, and single images leave a GPU idle.
MAX_BATCH_SIZE = 8
_BACKENDS = {"onnx": ("onnxruntime", "model.onnx"), "torchscript": ("pytorch", "model.pt")}
# TorchScript's optimised execution profiles and compiles during the first calls of each batch size: seconds each.
_PARAMETERS = {"onnx": dict[str, str](), "torchscript": {"DISABLE_OPTIMIZED_EXECUTION": "true"}}


def triton_model_name(project: str, model: str, model_format: str, sha256: str) -> str:
    """Name of a model version in Triton: never used twice, because the content is part of it."""
    return f"{project}.{model}.{model_format}.{sha256[:12]}"


def triton_config(name: str, model_format: str, image_side: int, labels: int) -> str:
    """The text of a `config.pbtxt`.

    Args:
        name: the model's name in Triton.
        model_format: `onnx` or `torchscript`.
        image_side: side of the square RGB images, in pixels.
        labels: how many scores come out for each image.
    """
    backend, file_name = _BACKENDS[model_format]
    config = triton.ModelConfig(
        name=name,
        backend=backend,
        default_model_filename=file_name,
        max_batch_size=MAX_BATCH_SIZE,
        input=[triton.ModelInput(name=INPUT_NAME, data_type=triton.TYPE_UINT8, dims=[image_side, image_side, 3])],
        output=[triton.ModelOutput(name=OUTPUT_NAME, data_type=triton.TYPE_FP32, dims=[labels])],
        dynamic_batching=triton.ModelDynamicBatching(),
        # The first call of each shape is slow; it should not be a user's.
        model_warmup=[_warmup(size, image_side) for size in (1, MAX_BATCH_SIZE)],
        parameters={key: triton.ModelParameter(string_value=value) for key, value in _PARAMETERS[model_format].items()},
    )
    return str(text_format.MessageToString(config))


def _warmup(batch_size: int, image_side: int) -> triton.ModelWarmup:
    zeros = triton.ModelWarmup.Input(data_type=triton.TYPE_UINT8, dims=[image_side, image_side, 3], zero_data=True)
    return triton.ModelWarmup(name=f"batch of {batch_size}", batch_size=batch_size, inputs={INPUT_NAME: zeros})
