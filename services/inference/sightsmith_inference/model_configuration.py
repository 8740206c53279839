"""Reads a model's `config.pbtxt` and checks that it is what this service can drive."""

from collections.abc import Sequence

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from sightsmith_inference.errors import ModelNotServableError
from sightsmith_inference.models import Runtime, ServableModel, outputs_of
from sightsmith_inference.tensors import INPUT, OutputTensor
from sightsmith_inference.trained_models import TrainedModel

CONFIGURATION_FILE = "config.pbtxt"
MODEL_FILES = {
    Runtime.ONNX: "1/model.onnx",
    Runtime.TORCHSCRIPT: "1/model.pt",
    Runtime.ONNX_INT8: "1/model.onnx",
    Runtime.ONNX_FP16: "1/model.onnx",
}

_BACKENDS = {
    Runtime.ONNX: "onnxruntime",
    Runtime.TORCHSCRIPT: "pytorch",
    Runtime.ONNX_INT8: "onnxruntime",
    Runtime.ONNX_FP16: "onnxruntime",
}


def triton_name(trained: TrainedModel, runtime: Runtime) -> str:
    """The name that a model version has in Triton: `{project}.{model}.{runtime}.{12 digits of the file's SHA-256}`.

    The digits make it a name for exactly these bytes, so that nothing that is loaded ever changes under its name. Ids
    and digits hold no character that means anything in a path.

    Raises:
        ModelNotServableError: if the model was not exported for this runtime.
    """
    file = trained.files.get(runtime, {}).get(MODEL_FILES[runtime])
    if file is None:
        raise ModelNotServableError(f"{trained.name} has no {MODEL_FILES[runtime]}: it was not exported for {runtime}")
    return f"{trained.name.project}.{trained.name.model}.{runtime}.{file.sha256[:12]}"


def read_configuration(text: bytes, trained: TrainedModel, runtime: Runtime) -> ServableModel:
    """Reads the configuration of a model that takes `uint8` [n, side, side, 3] and gives what its task asks for.

    Args:
        text: a `config.pbtxt`.
        trained: the model version that it belongs to.
        runtime: what is to run the model.

    Raises:
        ModelNotServableError: if the text is no such configuration; says what is wrong.
    """
    name, outputs = triton_name(trained, runtime), outputs_of(trained.task, len(trained.labels))
    max_batch_size = check_configuration(text, name, runtime, trained.image_side, outputs)
    return ServableModel(
        triton_model=name,
        model=str(trained.name),
        runtime=runtime,
        labels=trained.labels,
        image_side=trained.image_side,
        max_batch_size=max_batch_size,
        task=trained.task,
        recommended_for=frozenset(
            processor for processor, recommended in trained.recommended.items() if recommended is runtime
        ),
        thresholds=trained.thresholds,
    )


def check_configuration(text: bytes, name: str, runtime: Runtime, side: int, outputs: Sequence[OutputTensor]) -> int:
    """Checks the configuration of a model that takes `uint8` [n, side, side, 3] and gives these outputs.

    Returns:
        How many images Triton takes in one request, at least 1.

    Raises:
        ModelNotServableError: if the text is no such configuration; says what is wrong.
    """
    configuration = _parse(text)
    expected = {
        "name": name,
        "backend": _BACKENDS[runtime],
        "input": [(INPUT, "TYPE_UINT8", [side, side, 3])],
        "output": [(output.name, f"TYPE_{output.datatype}", list(output.shape)) for output in outputs],
    }
    found = {
        "name": configuration.name,
        "backend": configuration.backend,
        "input": [_tensor(tensor) for tensor in configuration.input],
        "output": [_tensor(tensor) for tensor in configuration.output],
    }
    for field, value in expected.items():
        if found[field] != value:
            raise ModelNotServableError(f"{CONFIGURATION_FILE}: {field} is {found[field]!r} and must be {value!r}")
    if configuration.max_batch_size < 1:
        raise ModelNotServableError(f"{CONFIGURATION_FILE}: max_batch_size must be at least 1")
    return int(configuration.max_batch_size)


def _parse(text: bytes) -> model_config_pb2.ModelConfig:
    try:
        return text_format.Parse(text, model_config_pb2.ModelConfig())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise ModelNotServableError(f"{CONFIGURATION_FILE} cannot be read: {error}") from error


def _tensor(
    tensor: model_config_pb2.ModelInput | model_config_pb2.ModelOutput,
) -> tuple[str, str, list[int]]:
    return tensor.name, model_config_pb2.DataType.Name(tensor.data_type), list(tensor.dims)
