"""A client of the inference service without retries, so that tests see every refusal."""

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

from google.protobuf.message import Message
from grpc import aio

from sightsmith.api.inference.v1 import (
    deployment_pb2,
    deployment_service_pb2,
    deployment_service_pb2_grpc,
    prediction_service_pb2,
    prediction_service_pb2_grpc,
)
from sightsmith.errors import SightsmithError
from sightsmith.rpc.channel import error_of

Answer = TypeVar("Answer")
State = deployment_pb2.Deployment.State
_TIMEOUT_SECONDS = 20.0
_WAIT_SECONDS = 60.0


class InferenceClient:
    """Speaks for a project named `shop`. Errors are raised as `SightsmithError`."""

    def __init__(self, target: str, token: str, *options: tuple[str, Any]) -> None:
        self._channel = aio.insecure_channel(target, [("grpc.max_reconnect_backoff_ms", 500), *options])
        self._metadata = [("authorization", f"Bearer {token}")]
        self._deployments = deployment_service_pb2_grpc.DeploymentServiceStub(self._channel)
        self._predictions = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    async def close(self) -> None:
        await self._channel.close()

    async def create(self, deployment: str, **fields: Any) -> deployment_pb2.Deployment:
        request = deployment_service_pb2.CreateDeploymentRequest(
            parent="projects/shop", deployment_id=deployment, deployment=deployment_pb2.Deployment(**fields)
        )
        return await self._call(self._deployments.CreateDeployment, request)

    async def get(self, deployment: str, seconds: float = _TIMEOUT_SECONDS) -> deployment_pb2.Deployment:
        request = deployment_service_pb2.GetDeploymentRequest(name=name_of(deployment))
        return await self._call(self._deployments.GetDeployment, request, seconds)

    async def list(self, **fields: Any) -> deployment_service_pb2.ListDeploymentsResponse:
        request = deployment_service_pb2.ListDeploymentsRequest(parent="projects/shop", **fields)
        return await self._call(self._deployments.ListDeployments, request)

    async def update(self, deployment: str, mask: Sequence[str] = (), **fields: Any) -> deployment_pb2.Deployment:
        request = deployment_service_pb2.UpdateDeploymentRequest(
            deployment=deployment_pb2.Deployment(name=name_of(deployment), **fields)
        )
        request.update_mask.paths.extend(mask)
        return await self._call(self._deployments.UpdateDeployment, request)

    async def propose(self, deployment: str, **fields: Any) -> deployment_pb2.Deployment:
        request = deployment_service_pb2.ProposeModelRequest(
            name=name_of(deployment), proposal=deployment_pb2.Proposal(**fields)
        )
        return await self._call(self._deployments.ProposeModel, request)

    async def accept(self, deployment: str, model: str = "") -> deployment_pb2.Deployment:
        request = deployment_service_pb2.AcceptProposalRequest(name=name_of(deployment), model=model)
        return await self._call(self._deployments.AcceptProposal, request)

    async def dismiss(self, deployment: str) -> deployment_pb2.Deployment:
        request = deployment_service_pb2.DismissProposalRequest(name=name_of(deployment))
        return await self._call(self._deployments.DismissProposal, request)

    async def delete(self, deployment: str) -> None:
        request = deployment_service_pb2.DeleteDeploymentRequest(name=name_of(deployment))
        await self._call(self._deployments.DeleteDeployment, request)

    async def roll_back(self, deployment: str, **fields: Any) -> deployment_pb2.Deployment:
        request = deployment_service_pb2.RollbackDeploymentRequest(name=name_of(deployment), **fields)
        return await self._call(self._deployments.RollbackDeployment, request)

    async def stop(self, deployment: str) -> deployment_pb2.Deployment:
        request = deployment_service_pb2.StopDeploymentRequest(name=name_of(deployment))
        return await self._call(self._deployments.StopDeployment, request)

    async def start(self, deployment: str) -> deployment_pb2.Deployment:
        request = deployment_service_pb2.StartDeploymentRequest(name=name_of(deployment))
        return await self._call(self._deployments.StartDeployment, request)

    async def watch(
        self, deployment: str, start_revision: int = 0
    ) -> AsyncIterator[deployment_service_pb2.WatchDeploymentResponse]:
        request = deployment_service_pb2.WatchDeploymentRequest(name=name_of(deployment), start_revision=start_revision)
        call = self._deployments.WatchDeployment(request, metadata=self._metadata, timeout=_WAIT_SECONDS)
        try:
            async for response in call:
                yield response
        except aio.AioRpcError as error:
            raise error_of(error) from error

    async def predict(
        self,
        deployment: str,
        image: bytes,
        seconds: float = _TIMEOUT_SECONDS,
        **fields: Any,
    ) -> prediction_service_pb2.PredictResponse:
        request = prediction_service_pb2.PredictRequest(deployment=name_of(deployment), image=image, **fields)
        return await self._call(self._predictions.Predict, request, seconds)

    async def predict_batch(
        self, deployment: str, images: Sequence[bytes], **fields: Any
    ) -> prediction_service_pb2.BatchPredictResponse:
        request = prediction_service_pb2.BatchPredictRequest(deployment=name_of(deployment), images=images, **fields)
        return await self._call(self._predictions.BatchPredict, request)

    async def stream(
        self,
        deployment: str,
        images: Iterable[bytes] | AsyncIterable[bytes],
        seconds: float = _TIMEOUT_SECONDS,
        **options: Any,
    ) -> AsyncIterator[prediction_service_pb2.StreamPredictResponse]:
        """Streams images whose ids are their numbers."""
        asked = prediction_service_pb2.StreamPredictRequest.Options(deployment=name_of(deployment), **options)
        messages = _messages(asked, images)
        call = self._predictions.StreamPredict(messages, metadata=self._metadata, timeout=seconds)
        try:
            async for response in call:
                yield response
        except aio.AioRpcError as error:
            raise error_of(error) from error
        finally:
            call.cancel()

    def stream_messages(
        self, messages: AsyncIterable[prediction_service_pb2.StreamPredictRequest]
    ) -> "aio.StreamStreamCall[Any, Any]":
        """The bare call."""
        return self._predictions.StreamPredict(messages, metadata=self._metadata, timeout=_TIMEOUT_SECONDS)

    async def serving_model(self, deployment: str) -> prediction_service_pb2.ServingModel:
        request = prediction_service_pb2.GetServingModelRequest(name=f"{name_of(deployment)}/servingModel")
        return await self._call(self._predictions.GetServingModel, request)

    async def wait_for(self, deployment: str, *states: "State.ValueType") -> deployment_pb2.Deployment:
        """Waits until a deployment is in one of these states."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while True:
            found = await self.get(deployment)
            if found.state in states:
                return found
            assert time.monotonic() < deadline, f"still {found}"
            await asyncio.sleep(0.02)

    async def wait_running(self, deployment: str, model: str | None = None) -> deployment_pb2.Deployment:
        found = await self.wait_for(
            deployment, deployment_pb2.Deployment.STATE_RUNNING, deployment_pb2.Deployment.STATE_FAILED
        )
        assert found.state == deployment_pb2.Deployment.STATE_RUNNING, found
        assert model in (None, found.serving_model), found
        return found

    async def wait_predicting(self, deployment: str, image: bytes) -> prediction_service_pb2.PredictResponse:
        """Waits until predictions are answered."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while True:
            try:
                return await self.predict(deployment, image)
            except SightsmithError:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)

    async def _call(
        self, method: Callable[..., Awaitable[Answer]], request: Message, seconds: float = _TIMEOUT_SECONDS
    ) -> Answer:
        try:
            return await method(request, metadata=self._metadata, timeout=seconds)
        except aio.AioRpcError as error:
            raise error_of(error) from error


async def _messages(
    options: prediction_service_pb2.StreamPredictRequest.Options, images: Iterable[bytes] | AsyncIterable[bytes]
) -> AsyncIterator[prediction_service_pb2.StreamPredictRequest]:
    number = 0
    async for image in images if isinstance(images, AsyncIterable) else _each(images):
        # Not in a message of their own: a write to a stream that has ended hides, in gRPC's client, why it has.
        asked: dict[str, Any] = {} if number else {"options": options}
        yield prediction_service_pb2.StreamPredictRequest(id=str(number), image=image, **asked)
        number += 1
    if not number:
        yield prediction_service_pb2.StreamPredictRequest(options=options)


async def _each(images: Iterable[bytes]) -> AsyncIterator[bytes]:
    for image in images:
        yield image


def name_of(deployment: str) -> str:
    return f"projects/shop/deployments/{deployment}"


def scores_of(predictions: Sequence[prediction_service_pb2.Prediction]) -> dict[str, float]:
    return {prediction.label: prediction.confidence for prediction in predictions}
