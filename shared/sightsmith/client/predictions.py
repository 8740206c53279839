"""Streams of images to a deployment, and of answers back."""

from collections.abc import Iterable, Iterator

from sightsmith.api.inference.v1.prediction_service_pb2 import (
    ImageReference,
    StreamPredictRequest,
    StreamPredictResponse,
)
from sightsmith.api.inference.v1.prediction_service_pb2_grpc import PredictionServiceStub
from sightsmith.client.calls import calling
from sightsmith.errors import SightsmithError

NamedImage = tuple[str, bytes | ImageReference]
"""What an image is known by, and the encoded image or where it is."""


def stream_predictions(
    stub: PredictionServiceStub, options: StreamPredictRequest.Options, images: Iterable[NamedImage]
) -> Iterator[StreamPredictResponse]:
    """Asks what is in images as they come; yields the answers in their order.

    The images are iterated in a thread of gRPC's, and no faster than the answers are taken. To stop early, close the
    iterator.

    Raises:
        SightsmithError: what ended the stream.
        Exception: whatever iterating the images raises.
    """
    requests = _Requests(options, images)
    call = stub.StreamPredict(iter(requests))
    try:
        with calling():
            yield from call
    except SightsmithError:
        # Where the images failed, all that gRPC can say is that something did.
        if requests.error is not None:
            raise requests.error from None
        raise
    finally:
        call.cancel()


class _Requests:
    """The messages of a stream. `error` is what iterating the images raised."""

    def __init__(self, options: StreamPredictRequest.Options, images: Iterable[NamedImage]) -> None:
        self._options = options
        self._images = images
        self.error: Exception | None = None

    def __iter__(self) -> Iterator[StreamPredictRequest]:
        yield StreamPredictRequest(options=self._options)
        try:
            for name, image in self._images:
                if isinstance(image, bytes):
                    yield StreamPredictRequest(id=name, image=image)
                else:
                    yield StreamPredictRequest(id=name, reference=image)
        except Exception as error:
            self.error = error
            raise
