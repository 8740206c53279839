"""Between our values and the messages of the API."""

from collections.abc import Sequence

from sightsmith.api.inference.v1 import prediction_service_pb2
from sightsmith.errors import SightsmithError
from sightsmith.rpc.status import to_status
from sightsmith_inference.predictor import GivenImage, Outcome
from sightsmith_inference.ranking import Box, Prediction, Wish
from sightsmith_inference.references import ImageReference


def wish_of(
    request: prediction_service_pb2.PredictRequest
    | prediction_service_pb2.BatchPredictRequest
    | prediction_service_pb2.StreamPredictRequest.Options,
) -> Wish:
    """Which labels a caller wants."""
    least = request.min_confidence if request.HasField("min_confidence") else None
    return Wish(least, request.max_results, tuple(request.labels))


def image_of(
    request: prediction_service_pb2.PredictRequest | prediction_service_pb2.StreamPredictRequest,
) -> GivenImage:
    """The image of a request, or where it is; empty if there is none."""
    return reference_of(request.reference) if request.HasField("reference") else request.image


def reference_of(reference: prediction_service_pb2.ImageReference) -> ImageReference:
    """Where an image is."""
    return ImageReference(reference.sha256, reference.url)


def predictions_to_proto(predictions: Sequence[Prediction]) -> list[prediction_service_pb2.Prediction]:
    """Labels and boxes as clients see them."""
    return [
        prediction_service_pb2.Prediction(
            label=prediction.label,
            confidence=prediction.confidence,
            box=_box_to_proto(prediction.box) if prediction.box else None,
        )
        for prediction in predictions
    ]


def _box_to_proto(box: Box) -> prediction_service_pb2.BoundingBox:
    return prediction_service_pb2.BoundingBox(left=box.left, top=box.top, width=box.width, height=box.height)


def result_to_proto(outcome: Outcome) -> prediction_service_pb2.BatchPredictResponse.Result:
    """What became of one image of a batch, as clients see it."""
    result = prediction_service_pb2.BatchPredictResponse.Result
    if isinstance(outcome, SightsmithError):
        return result(error=to_status(outcome))
    return result(predictions=predictions_to_proto(outcome))
