"""Between the messages of `StreamPredict` and our values."""

from collections.abc import AsyncIterator

from sightsmith.api.inference.v1.prediction_service_pb2 import StreamPredictRequest, StreamPredictResponse
from sightsmith.errors import FieldViolation, InvalidArgumentError, SightsmithError
from sightsmith.rpc.status import to_status
from sightsmith_inference.asked_deployment import asked_deployment
from sightsmith_inference.convert import image_of, predictions_to_proto, wish_of
from sightsmith_inference.predictor import raise_if
from sightsmith_inference.streaming import Question, StreamedAnswer, StreamedImage

_LONGEST_ID = 1024


def question_of(first: StreamPredictRequest) -> Question:
    """What the first message asks.

    Raises:
        InvalidArgumentError: if it has no options, or they are not allowed.
    """
    if not first.HasField("options"):
        raise InvalidArgumentError.of_field("options", "is required in the first message of the stream")
    wish = wish_of(first.options)
    raise_if([FieldViolation(f"options.{wrong.field}", wrong.description) for wrong in wish.violations()])
    deployment, alias = asked_deployment(first.options.deployment, "options.deployment")
    return Question(deployment, wish, first.options.skip_sampling, alias)


async def streamed_images(
    first: StreamPredictRequest, others: AsyncIterator[StreamPredictRequest]
) -> AsyncIterator[StreamedImage]:
    """The images of a stream, from its first message on, which may be without one.

    Raises:
        InvalidArgumentError: if a message is not what a stream is made of.
    """
    if first.WhichOneof("source"):
        yield _image_of(first)
    async for request in others:
        if request.HasField("options"):
            raise InvalidArgumentError.of_field("options", "is allowed in the first message of the stream only")
        yield _image_of(request)


def _image_of(request: StreamPredictRequest) -> StreamedImage:
    if len(request.id) > _LONGEST_ID:
        rule = f"must have at most {_LONGEST_ID} characters, not {len(request.id)}"
        raise InvalidArgumentError.of_field("id", rule)
    if not request.WhichOneof("source"):
        return StreamedImage(request.id, InvalidArgumentError.of_field("image", "is required"))
    return StreamedImage(request.id, image_of(request))


def streamed_answer_to_proto(answer: StreamedAnswer) -> StreamPredictResponse:
    """What is in an image of a stream, as clients see it."""
    response = StreamPredictResponse(id=answer.id, index=answer.index, model=answer.model, alias=answer.alias)
    if isinstance(answer.outcome, SightsmithError):
        response.error.CopyFrom(to_status(answer.outcome))
    else:
        response.predictions.extend(predictions_to_proto(answer.outcome))
    return response
