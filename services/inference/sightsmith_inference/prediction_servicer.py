"""`sightsmith.api.inference.v1.PredictionService`."""

from sightsmith.api.inference.v1 import prediction_service_pb2, prediction_service_pb2_grpc
from sightsmith.rpc import Context
from sightsmith_inference.asked_deployment import asked_deployment
from sightsmith_inference.convert import predictions_to_proto, result_to_proto, wish_of
from sightsmith_inference.predictor import Predictor


class PredictionServicer(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers what is in images."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    async def Predict(
        self, request: prediction_service_pb2.PredictRequest, context: Context
    ) -> prediction_service_pb2.PredictResponse:
        """Answers for one image."""
        name, alias = asked_deployment(request.deployment, "deployment")
        seconds = context.time_remaining()
        answer, predictions = await self._predictor.predict(name, request.image, wish_of(request), seconds, alias=alias)
        return prediction_service_pb2.PredictResponse(
            predictions=predictions_to_proto(predictions), model=answer.model, alias=answer.alias
        )

    async def BatchPredict(
        self, request: prediction_service_pb2.BatchPredictRequest, context: Context
    ) -> prediction_service_pb2.BatchPredictResponse:
        """Answers for several images."""
        name, alias = asked_deployment(request.deployment, "deployment")
        seconds = context.time_remaining()
        answer = await self._predictor.predict_batch(
            name, request.images, wish_of(request), seconds, skip_sampling=request.skip_sampling, alias=alias
        )
        results = map(result_to_proto, answer.outcomes)
        return prediction_service_pb2.BatchPredictResponse(results=results, model=answer.model, alias=answer.alias)
