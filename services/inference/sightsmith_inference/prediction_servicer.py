"""`sightsmith.api.inference.v1.PredictionService`."""

import time
from collections.abc import AsyncIterator

from sightsmith.api.inference.v1 import prediction_service_pb2, prediction_service_pb2_grpc
from sightsmith.names import DeploymentName, ServingModelName
from sightsmith.rpc import Context
from sightsmith_inference.asked_deployment import asked_deployment
from sightsmith_inference.convert import image_of, predictions_to_proto, reference_of, result_to_proto, wish_of
from sightsmith_inference.predictor import GivenImage, Predictor
from sightsmith_inference.releases import LIVE
from sightsmith_inference.routes import Routes
from sightsmith_inference.serving_model import serving_model_to_proto
from sightsmith_inference.settings import InferenceSettings
from sightsmith_inference.stream_messages import question_of, streamed_answer_to_proto, streamed_images
from sightsmith_inference.streaming import PredictionStreams, StreamedAnswer
from sightsmith_inference.waking import Waking


class PredictionServicer(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers what is in images."""

    def __init__(
        self,
        settings: InferenceSettings,
        routes: Routes,
        waking: Waking,
        predictor: Predictor,
        streams: PredictionStreams,
    ) -> None:
        self._settings = settings
        self._routes = routes
        self._waking = waking
        self._predictor = predictor
        self._streams = streams

    async def Predict(
        self, request: prediction_service_pb2.PredictRequest, context: Context
    ) -> prediction_service_pb2.PredictResponse:
        """Answers for one image."""
        name, alias = asked_deployment(request.deployment, "deployment")
        seconds = context.time_remaining()
        answer, predictions = await self._predictor.predict(
            name, image_of(request), wish_of(request), seconds, skip_sampling=request.skip_sampling, alias=alias
        )
        return prediction_service_pb2.PredictResponse(
            predictions=predictions_to_proto(predictions), model=answer.model, alias=answer.alias
        )

    async def BatchPredict(
        self, request: prediction_service_pb2.BatchPredictRequest, context: Context
    ) -> prediction_service_pb2.BatchPredictResponse:
        """Answers for several images."""
        name, alias = asked_deployment(request.deployment, "deployment")
        seconds = context.time_remaining()
        images: list[GivenImage] = [*request.images, *map(reference_of, request.references)]
        answer = await self._predictor.predict_batch(
            name, images, wish_of(request), seconds, skip_sampling=request.skip_sampling, alias=alias
        )
        results = map(result_to_proto, answer.outcomes)
        return prediction_service_pb2.BatchPredictResponse(results=results, model=answer.model, alias=answer.alias)

    async def StreamPredict(  # type: ignore[override]  # writes its answers itself: see `PredictionStreams.run`
        self, requests: AsyncIterator[prediction_service_pb2.StreamPredictRequest], context: Context
    ) -> None:
        """Answers for images as they come."""

        async def write(answer: StreamedAnswer) -> None:
            await context.write(streamed_answer_to_proto(answer))

        first = await anext(requests, prediction_service_pb2.StreamPredictRequest())
        await self._streams.run(question_of(first), streamed_images(first, requests), write)

    async def GetServingModel(
        self, request: prediction_service_pb2.GetServingModelRequest, context: Context
    ) -> prediction_service_pb2.ServingModel:
        """Returns what a client must know to ask Triton itself."""
        name = ServingModelName.parse(request.name)
        deployment = DeploymentName(name.project, name.deployment)
        left = context.time_remaining()
        await self._waking.wait(
            deployment, time.monotonic() + (self._settings.triton_timeout_seconds if left is None else left)
        )
        with self._routes.using(deployment, LIVE) as model:
            return serving_model_to_proto(name, model, self._settings)
