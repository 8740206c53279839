"""Between our values and the messages of the API."""

from collections.abc import Sequence

from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import status_pb2

from sightsmith.api.inference.v1 import deployment_pb2, prediction_service_pb2
from sightsmith.errors import InvalidArgumentError, SightsmithError
from sightsmith.rpc.status import to_status
from sightsmith_inference.deployments import Deployment, DeploymentError
from sightsmith_inference.models import RECOMMENDED, Runtime, RuntimeWish
from sightsmith_inference.predictor import GivenImage, Outcome
from sightsmith_inference.ranking import Box, Prediction, Wish
from sightsmith_inference.references import ImageReference
from sightsmith_inference.sampling import SamplingPolicy

_RUNTIMES = {
    Runtime.ONNX: deployment_pb2.Deployment.RUNTIME_ONNX,
    Runtime.TORCHSCRIPT: deployment_pb2.Deployment.RUNTIME_TORCHSCRIPT,
    Runtime.ONNX_INT8: deployment_pb2.Deployment.RUNTIME_ONNX_INT8,
    Runtime.ONNX_FP16: deployment_pb2.Deployment.RUNTIME_ONNX_FP16,
}
_FROM_PROTO = {value: runtime for runtime, value in _RUNTIMES.items()}


def runtime_of(value: deployment_pb2.Deployment.Runtime.ValueType) -> RuntimeWish:
    """What is to run a model; what it recommends where nothing, or nothing known, is said."""
    return _FROM_PROTO.get(value, RECOMMENDED)


def _runtime_value(wish: RuntimeWish) -> deployment_pb2.Deployment.Runtime.ValueType:
    return _RUNTIMES[wish] if isinstance(wish, Runtime) else deployment_pb2.Deployment.RUNTIME_UNSPECIFIED


def deployment_to_proto(deployment: Deployment) -> deployment_pb2.Deployment:
    """A deployment as clients see it."""
    serving = deployment.serving
    message = deployment_pb2.Deployment(
        name=str(deployment.name),
        model=deployment.model,
        runtime=_runtime_value(deployment.runtime),
        state=deployment_pb2.Deployment.State.Value(f"STATE_{deployment.state}"),
        serving_model=serving.model if serving else "",
        triton_model=serving.triton_model if serving else "",
        serving_runtime=_runtime_value(serving.runtime if serving else RECOMMENDED),
        sampling=deployment_pb2.SamplingPolicy(**vars(deployment.sampling)) if deployment.sampling.is_on else None,
        error=_status_of(deployment.error) if deployment.error else None,
        create_time=Timestamp(),
        update_time=Timestamp(),
    )
    message.create_time.FromDatetime(deployment.create_time)
    message.update_time.FromDatetime(deployment.update_time)
    return message


def sampling_of(deployment: deployment_pb2.Deployment) -> SamplingPolicy:
    """Which predictions are to be kept for review.

    Raises:
        InvalidArgumentError: naming the fields that are wrong.
    """
    policy = SamplingPolicy(deployment.sampling.share, deployment.sampling.below_confidence)
    if violations := policy.violations():
        message = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
        raise InvalidArgumentError(message, violations=violations)
    return policy


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


def _status_of(error: DeploymentError) -> status_pb2.Status:
    known = SightsmithError(error.message, reason=error.reason)
    known.code = error.code
    return to_status(known)
