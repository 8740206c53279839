"""Speaks to Triton Inference Server by its gRPC protocol (KServe v2 with Triton's model repository extension)."""

import asyncio
import math
import time
from collections.abc import Sequence
from typing import Any, Protocol

import grpc
import numpy as np
import numpy.typing as npt
from grpc import aio
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

from sightsmith.errors import DeadlineExceededError, SightsmithError
from sightsmith_inference.errors import ModelNotServableError, dependency_unavailable
from sightsmith_inference.tensors import INPUT, Outputs, OutputTensor, Pixels


class LoadedModel(Protocol):
    """A model that Triton has loaded: its name there, and what it gives for each image."""

    @property
    def triton_model(self) -> str: ...
    @property
    def outputs(self) -> tuple[OutputTensor, ...]: ...


class ModelRunner(Protocol):
    """What runs loaded models: a Triton server, or several."""

    async def infer(self, model: LoadedModel, pixels: Pixels, timeout_seconds: float) -> Outputs:
        """Runs a model, as `Triton.infer` says."""
        ...


_ASK_SECONDS = 5.0
_READY_POLL_SECONDS = 0.1
_READY_SECONDS = 30.0
# What says that the server, or the model in it, is not there at the moment; all else is the model's own fault.
_NOT_THERE = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
_TYPES = {"FP32": np.dtype(np.float32), "INT32": np.dtype(np.int32)}
_OPTIONS = [
    # A batch of images is larger than gRPC's default of 4 MiB; Triton itself has no limit.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 30_000),
    # A server that was restarted is found again at once, not after gRPC's default of up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1_000),
]


class Triton:
    """A Triton server in the mode `--model-control-mode=explicit`."""

    def __init__(self, target: str) -> None:
        self._channel = aio.insecure_channel(target, _OPTIONS)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    async def loaded_models(self) -> frozenset[str]:
        """The names of the models that are ready.

        Raises:
            UnavailableError: if Triton cannot be reached.
        """
        try:
            index = await self._stub.RepositoryIndex(
                service_pb2.RepositoryIndexRequest(ready=True), timeout=_ASK_SECONDS
            )
        except aio.AioRpcError as error:
            raise _error_of(error) from error
        return frozenset(model.name for model in index.models)

    async def load(self, name: str, timeout_seconds: float, configuration: str | None = None) -> None:
        """Loads a model, runs its warm-up, and waits until it is ready.

        Args:
            name: of the model. One that is ready is left as it is, unless it is to be configured otherwise: then it
                goes on answering until that is done, and if it fails.
            timeout_seconds: how long that may take.
            configuration: in place of its `config.pbtxt`, the same as JSON.

        Raises:
            ModelNotServableError: if Triton cannot load it; says what Triton said.
            UnavailableError: if Triton cannot be reached or takes too long.
        """
        try:
            if configuration is not None or not await self._is_ready(name):
                request = service_pb2.RepositoryModelLoadRequest(model_name=name)
                if configuration is not None:
                    request.parameters["config"].string_param = configuration
                await self._stub.RepositoryModelLoad(request, timeout=timeout_seconds)
                await self._wait_ready(name)
        except aio.AioRpcError as error:
            raise _error_of(error) from error

    async def configuration(self, name: str) -> model_config_pb2.ModelConfig | None:
        """The configuration of a model as Triton completed it; None if it is not ready.

        Raises:
            UnavailableError: if Triton cannot be reached.
        """
        try:
            if not await self._is_ready(name):
                return None
            answer = await self._stub.ModelConfig(service_pb2.ModelConfigRequest(name=name), timeout=_ASK_SECONDS)
        except aio.AioRpcError as error:
            raise _error_of(error) from error
        return answer.config

    async def statistics(self) -> Sequence[service_pb2.ModelStatistics]:
        """What all loaded models have done since they were loaded.

        Raises:
            UnavailableError: if Triton cannot be reached.
        """
        try:
            answer = await self._stub.ModelStatistics(service_pb2.ModelStatisticsRequest(), timeout=_ASK_SECONDS)
        except aio.AioRpcError as error:
            raise _error_of(error) from error
        return list(answer.model_stats)

    async def unload(self, name: str) -> None:
        """Unloads a model once the requests that it works on are answered; one that is not loaded is left alone.

        Raises:
            UnavailableError: if Triton cannot be reached.
        """
        request = service_pb2.RepositoryModelUnloadRequest(model_name=name)
        try:
            await self._stub.RepositoryModelUnload(request, timeout=_ASK_SECONDS)
        except aio.AioRpcError as error:
            raise _error_of(error) from error

    async def infer(self, model: LoadedModel, pixels: Pixels, timeout_seconds: float) -> Outputs:
        """Runs a model.

        Args:
            model: a loaded model.
            pixels: RGB images, [n, side, side, 3] with n from 1 to the model's `max_batch_size`.
            timeout_seconds: how long the answer may take.

        Returns:
            An array for each of the model's outputs, of shape [n, …]; all numbers are finite.

        Raises:
            ModelNotServableError: if the model fails, or answers something else.
            UnavailableError: if Triton cannot be reached or has lost the model.
            DeadlineExceededError: if it takes too long.
        """
        try:
            response = await self._stub.ModelInfer(_request(model, pixels), timeout=timeout_seconds)
        except aio.AioRpcError as error:
            raise _error_of(error) from error
        return [_read(response, output, len(pixels)) for output in model.outputs]

    async def close(self) -> None:
        """Closes the connection."""
        await self._channel.close()

    async def _is_ready(self, name: str) -> bool:
        answer = await self._stub.ModelReady(service_pb2.ModelReadyRequest(name=name), timeout=_ASK_SECONDS)
        return bool(answer.ready)

    async def _wait_ready(self, name: str) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not await self._is_ready(name):
            if time.monotonic() > deadline:
                raise ModelNotServableError(f"Triton loaded {name}, but does not report it as ready")
            await asyncio.sleep(_READY_POLL_SECONDS)


def _request(model: LoadedModel, pixels: Pixels) -> service_pb2.ModelInferRequest:
    tensor = service_pb2.ModelInferRequest.InferInputTensor(name=INPUT, datatype="UINT8", shape=pixels.shape)
    wanted = service_pb2.ModelInferRequest.InferRequestedOutputTensor
    outputs = [wanted(name=output.name) for output in model.outputs]
    return service_pb2.ModelInferRequest(
        model_name=model.triton_model, inputs=[tensor], outputs=outputs, raw_input_contents=[pixels.tobytes()]
    )


def _read(response: service_pb2.ModelInferResponse, output: OutputTensor, images: int) -> npt.NDArray[Any]:
    answered = zip(response.outputs, response.raw_output_contents, strict=False)
    found = {tensor.name: (tensor.datatype, tuple(tensor.shape), raw) for tensor, raw in answered}
    datatype, shape, raw = found.get(output.name, ("nothing", (), b""))
    due = (images, *output.shape)
    if (datatype, shape) != (output.datatype, due) or len(raw) != math.prod(due) * _TYPES[datatype].itemsize:
        problem = f"{datatype} {list(shape)} for {output.name} where {output.datatype} {list(due)} was due"
        raise ModelNotServableError(f"{response.model_name} answered {problem}")
    numbers = np.frombuffer(raw, _TYPES[datatype]).reshape(due)
    if not np.isfinite(numbers).all():
        raise ModelNotServableError(f"{response.model_name} answered numbers that are not finite for {output.name}")
    return numbers


def _error_of(error: aio.AioRpcError) -> SightsmithError:
    message = f"{error.details() or error.code().name}"
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceededError(f"triton did not answer in time: {message}")
    if error.code() in _NOT_THERE:
        return dependency_unavailable("triton", message)
    return ModelNotServableError(message)
