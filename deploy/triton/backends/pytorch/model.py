"""The backend `pytorch` for a Triton that has none: runs the TorchScript file `model.pt` with the Python package torch.

It reads the same `config.pbtxt` as the backend in NVIDIA's image, with the same parameter `INTRA_OP_THREAD_COUNT` and
the same naming of tensors by position (`INPUT__0`, `OUTPUT__0`).
"""

import json
import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from tensor_batches import Arrays, TensorBatches, intra_op_threads, tensor_types

# The server lends its inputs for reading; torch has no such tensors, and a model leaves its inputs alone.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable", category=UserWarning)


class TritonPythonModel:
    """One instance of a model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Loads the model; what is raised here becomes the error of the load.

        Raises:
            ValueError: if a tensor in the configuration is not named by its position.
        """
        config: dict[str, Any] = json.loads(args["model_config"])
        torch.set_num_threads(intra_op_threads(config, "INTRA_OP_THREAD_COUNT"))
        self._optimized = not _is_true(config, "DISABLE_OPTIMIZED_EXECUTION")
        file = config.get("default_model_filename") or "model.pt"
        self._device = _device(args)
        self._model = _load(Path(args["model_repository"], args["model_version"], file), self._device)
        self._input_order = _order(tensor_types(config, "input"))
        self._output_positions = _positions(tensor_types(config, "output"))
        self._batches = TensorBatches(config, self._run)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answers the requests that Triton has put together."""
        return self._batches.answer(requests)

    def finalize(self) -> None:
        """Frees the model."""
        del self._batches, self._model

    @torch.inference_mode()
    def _run(self, inputs: Arrays) -> Arrays:
        tensors = [torch.from_numpy(inputs[index]).to(self._device) for index in self._input_order]
        # Optimised execution profiles and compiles during the first calls of each shape, which then take seconds.
        with torch.jit.optimized_execution(self._optimized):  # type: ignore[no-untyped-call]
            outputs = self._model(*tensors)
        outputs = outputs if isinstance(outputs, tuple | list) else [outputs]
        return [outputs[position].cpu().numpy() for position in self._output_positions]


def _is_true(config: dict[str, Any], parameter: str) -> bool:
    return config.get("parameters", {}).get(parameter, {}).get("string_value") == "true"


def _load(path: Path, device: torch.device) -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        # TorchScript is deprecated, and is what Triton's pytorch backend reads.
        warnings.filterwarnings("ignore", message=".*torch.jit.load.* is deprecated", category=FutureWarning)
        model: torch.jit.ScriptModule = torch.jit.load(path, map_location=device)  # type: ignore[no-untyped-call]
    return model.eval()


def _device(args: dict[str, str]) -> torch.device:
    if args["model_instance_kind"] == "GPU" and torch.cuda.is_available():
        return torch.device("cuda", int(args["model_instance_device_id"]))
    return torch.device("cpu")


def _order(names: Iterable[str]) -> list[int]:
    """The indices of the tensors in the order of their positions."""
    positions = _positions(names)
    return sorted(range(len(positions)), key=positions.__getitem__)


def _positions(names: Iterable[str]) -> list[int]:
    matches = {name: re.fullmatch(r".+__(\d+)", name) for name in names}
    if wrong := [name for name, match in matches.items() if match is None]:
        raise ValueError(f"TorchScript tensors are named by position, as INPUT__0 and OUTPUT__0: {wrong} are not")
    return [int(match[1]) for match in matches.values() if match]
