"""The `config.pbtxt` of a model version, for NVIDIA's stock Triton and for the embedded one alike."""

from collections.abc import Sequence

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as triton

from sightsmith_training.engine.contract import INPUT_NAME

# Bigger batches are slower per image on a CPU, and single images leave a GPU idle.
MAX_BATCH_SIZE = 8
# Of a batch: a detector takes 150 MB of memory for an image of 1280 × 1280 pixels, and in proportion to the pixels.
_MOST_PIXELS = MAX_BATCH_SIZE * 640**2
_BACKENDS = {"onnx": ("onnxruntime", "model.onnx"), "torchscript": ("pytorch", "model.pt")}
# What a detector gives for each image, whatever it finds; the slots that it has no use for have the score 0.
_DETECTIONS = 100
# TorchScript's optimised execution profiles and compiles during the first calls of each batch size: seconds each.
_PARAMETERS = {"onnx": dict[str, str](), "torchscript": {"DISABLE_OPTIMIZED_EXECUTION": "true"}}


def triton_model_name(project: str, model: str, model_format: str, sha256: str) -> str:
    """Name of a model version in Triton: never used twice, because the content is part of it."""
    return f"{project}.{model}.{model_format}.{sha256[:12]}"


def triton_config(name: str, model_format: str, image_side: int, labels: int, *, finds_boxes: bool = False) -> str:
    """The text of a `config.pbtxt`.

    Args:
        name: the model's name in Triton.
        model_format: `onnx` or `torchscript`.
        image_side: side of the square RGB images, in pixels.
        labels: how many scores come out for each image; of no matter for a detector.
        finds_boxes: whether it is a detector, which gives boxes (left, top, right, bottom in shares of the image's
            sides), their scores and the positions of their labels.
    """
    backend, file_name = _BACKENDS[model_format]
    largest_batch = max(1, min(MAX_BATCH_SIZE, _MOST_PIXELS // image_side**2))
    config = triton.ModelConfig(
        name=name,
        backend=backend,
        default_model_filename=file_name,
        max_batch_size=largest_batch,
        input=[triton.ModelInput(name=INPUT_NAME, data_type=triton.TYPE_UINT8, dims=[image_side, image_side, 3])],
        output=_detector_outputs() if finds_boxes else [_output(0, triton.TYPE_FP32, [labels])],
        dynamic_batching=triton.ModelDynamicBatching(),
        # The first call of each shape is slow; it should not be a user's.
        model_warmup=[_warmup(size, image_side) for size in (1, largest_batch)],
        parameters={key: triton.ModelParameter(string_value=value) for key, value in _PARAMETERS[model_format].items()},
    )
    return str(text_format.MessageToString(config))


def _detector_outputs() -> Sequence[triton.ModelOutput]:
    return [
        _output(0, triton.TYPE_FP32, [_DETECTIONS, 4]),
        _output(1, triton.TYPE_FP32, [_DETECTIONS]),
        _output(2, triton.TYPE_INT32, [_DETECTIONS]),
    ]


def _output(position: int, data_type: triton.DataType, dims: Sequence[int]) -> triton.ModelOutput:
    """Triton's LibTorch backend knows outputs by their positions; the ONNX files have the same names."""
    return triton.ModelOutput(name=f"OUTPUT__{position}", data_type=data_type, dims=dims)


def _warmup(batch_size: int, image_side: int) -> triton.ModelWarmup:
    zeros = triton.ModelWarmup.Input(data_type=triton.TYPE_UINT8, dims=[image_side, image_side, 3], zero_data=True)
    return triton.ModelWarmup(name=f"batch of {batch_size}", batch_size=batch_size, inputs={INPUT_NAME: zeros})
