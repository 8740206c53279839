"""Requests to one batch and back, for the Python-based backends `onnxruntime` and `pytorch`.

Tensors pass through DLPack in both directions: with NumPy 2, this server's own conversion gives empty outputs without
a word. And they pass through NumPy, not torch, whose import would take seconds and half a gigabyte an instance.
"""

import ctypes
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils  # type: ignore[import-not-found]
from numpy.typing import NDArray

Arrays = Sequence[NDArray[Any]]
# Runs a model: one array per input to one per output, both in the order of the configuration.
Run = Callable[[Arrays], Arrays]

_TYPES = {
    "TYPE_BOOL": np.dtype(np.bool_),
    "TYPE_UINT8": np.dtype(np.uint8),
    "TYPE_UINT16": np.dtype(np.uint16),
    "TYPE_UINT32": np.dtype(np.uint32),
    "TYPE_UINT64": np.dtype(np.uint64),
    "TYPE_INT8": np.dtype(np.int8),
    "TYPE_INT16": np.dtype(np.int16),
    "TYPE_INT32": np.dtype(np.int32),
    "TYPE_INT64": np.dtype(np.int64),
    "TYPE_FP16": np.dtype(np.float16),
    "TYPE_FP32": np.dtype(np.float32),
    "TYPE_FP64": np.dtype(np.float64),
}

_CONSUMED = b"used_dltensor"
_set_capsule_name = ctypes.pythonapi.PyCapsule_SetName
_set_capsule_name.argtypes = (ctypes.py_object, ctypes.c_char_p)


class TensorBatches:
    """Answers the requests of one `execute` call with as few runs of the model as possible.

    Args:
        config: the model's configuration, as Triton gives it (the JSON form of `config.pbtxt`). With
            `max_batch_size` > 0 the first dimension of every tensor is the batch.
        run: runs the model.

    Raises:
        ValueError: if an input or output has a type that NumPy has no numbers for.
    """

    def __init__(self, config: dict[str, Any], run: Run) -> None:
        self._inputs = tensor_types(config, "input")
        self._outputs = tensor_types(config, "output")
        self._is_batched = config["max_batch_size"] > 0
        self._run = run

    def answer(self, requests: Sequence[Any]) -> list[Any]:
        """One response per request, in their order; what is wrong with one is said in its response alone."""
        read = [self._read(request) for request in requests]
        answers = iter(self._run_together([inputs for inputs in read if not isinstance(inputs, Exception)]))
        return [self._respond(inputs if isinstance(inputs, Exception) else next(answers)) for inputs in read]

    def _read(self, request: Any) -> Arrays | Exception:
        try:
            return [_input_array(request, name) for name in self._inputs]
        except Exception as error:  # the message is the client's answer, whatever it is
            return error

    def _run_together(self, batches: Sequence[Arrays]) -> Sequence[Arrays | Exception]:
        if not self._is_batched or len(batches) < 2:
            return [self._run_alone(batch) for batch in batches]
        ends = np.cumsum([len(batch[0]) for batch in batches])
        try:
            outputs = self._run([np.concatenate(parts) for parts in zip(*batches, strict=True)])
            _require_batch(outputs, int(ends[-1]))
            return list(zip(*(np.split(output, ends[:-1]) for output in outputs), strict=True))
        except Exception:  # one request that the model refuses must not fail its neighbours
            return [self._run_alone(batch) for batch in batches]

    def _run_alone(self, batch: Arrays) -> Arrays | Exception:
        try:
            return self._run(batch)
        except Exception as error:  # the message is the client's answer, whatever it is
            return error

    def _respond(self, outputs: Arrays | Exception) -> Any:
        try:
            if isinstance(outputs, Exception):
                raise outputs
            named = zip(self._outputs.items(), outputs, strict=True)
            return pb_utils.InferenceResponse([_output_tensor(name, type_, output) for (name, type_), output in named])
        except Exception as error:  # the message is the client's answer, whatever it is
            return pb_utils.InferenceResponse([], pb_utils.TritonError(f"{type(error).__name__}: {error}"))


def tensor_types(config: dict[str, Any], kind: str) -> dict[str, np.dtype[Any]]:
    """The names and types of a model's tensors, in the order of its configuration; `kind` is `input` or `output`."""
    types = {tensor["name"]: tensor["data_type"] for tensor in config[kind]}
    if unknown := {name: type_ for name, type_ in types.items() if type_ not in _TYPES}:
        raise ValueError(f"{kind} of a type that NumPy has no numbers for: {unknown}")
    return {name: _TYPES[type_] for name, type_ in types.items()}


def intra_op_threads(config: dict[str, Any], parameter: str) -> int:
    """How many threads one run of the model may use.

    Args:
        config: the model's configuration.
        parameter: the entry of `parameters` that says so. Where it is missing, several instances take one thread
            each, since they run beside each other already, and a single one takes every core.

    Raises:
        ValueError: if the entry is not a whole number of 1 or more.
    """
    instances = sum(group.get("count", 1) for group in config.get("instance_group", []))
    entry = config.get("parameters", {}).get(parameter)
    if entry is None:
        return 1 if instances > 1 else len(os.sched_getaffinity(0))
    text = entry["string_value"]
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"parameters.{parameter} is {text!r}: it must be a whole number of 1 or more")
    return int(text)


def _require_batch(outputs: Arrays, size: int) -> None:
    if wrong := [output.shape for output in outputs if len(output) != size]:
        raise ValueError(f"the model gives {wrong} for a batch of {size}")


def _input_array(request: Any, name: str) -> NDArray[Any]:
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    if tensor is None:
        raise ValueError(f"the input {name} is missing")
    return np.from_dlpack(tensor)


def _output_tensor(name: str, type_: np.dtype[Any], output: NDArray[Any]) -> Any:
    if output.dtype != type_:
        raise TypeError(f"the model gives {name} as {output.dtype}, and its configuration says {type_}")
    loan = _Loan(np.require(output, requirements=("C", "W")))
    tensor = pb_utils.Tensor.from_dlpack(name, loan)
    # The server marks what it has taken with a name of its own, at which NumPy's destructor would log an error.
    _set_capsule_name(loan.capsule, _CONSUMED)
    return tensor


class _Loan:
    """An array on its way to the server, with the DLPack capsule in which it travels."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._array = array
        self.capsule: Any = None

    def __dlpack__(self, **_: Any) -> Any:
        self.capsule = self._array.__dlpack__()
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()
