"""The backend `onnxruntime` for a Triton that has none: runs `model.onnx` with the Python package of that name.

It reads the same `config.pbtxt` as the backend in NVIDIA's image, with the same parameter `intra_op_thread_count`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime

from tensor_batches import Arrays, TensorBatches, intra_op_threads, tensor_types

_CPU = "CPUExecutionProvider"
_CUDA = "CUDAExecutionProvider"


class TritonPythonModel:
    """One instance of a model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Loads the model; what is raised here becomes the error of the load.

        Raises:
            ValueError: if the configuration names an input or output that the model does not have.
        """
        config: dict[str, Any] = json.loads(args["model_config"])
        file = config.get("default_model_filename") or "model.onnx"
        self._session = onnxruntime.InferenceSession(
            Path(args["model_repository"], args["model_version"], file), _options(config), providers=_providers(args)
        )
        self._inputs = list(tensor_types(config, "input"))
        self._outputs = list(tensor_types(config, "output"))
        _require_names("input", self._inputs, self._session.get_inputs())
        _require_names("output", self._outputs, self._session.get_outputs())
        self._batches = TensorBatches(config, self._run)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answers the requests that Triton has put together."""
        return self._batches.answer(requests)

    def finalize(self) -> None:
        """Frees the model."""
        del self._batches, self._session

    def _run(self, inputs: Arrays) -> Arrays:
        outputs: Arrays = self._session.run(self._outputs, dict(zip(self._inputs, inputs, strict=True)))
        return outputs


def _options(config: dict[str, Any]) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = intra_op_threads(config, "intra_op_thread_count")
    return options


def _providers(args: dict[str, str]) -> list[Any]:
    if args["model_instance_kind"] == "GPU" and _CUDA in onnxruntime.get_available_providers():
        return [(_CUDA, {"device_id": args["model_instance_device_id"]}), _CPU]
    return [_CPU]


def _require_names(kind: str, configured: Sequence[str], in_model: Sequence[Any]) -> None:
    names = [tensor.name for tensor in in_model]
    if missing := set(configured) - set(names):
        raise ValueError(f"config.pbtxt names the {kind} {sorted(missing)}; the model has {names}")
