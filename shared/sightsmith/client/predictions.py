"""Streams of images to a deployment, and of answers back."""

from collections import deque
from collections.abc import Iterable, Iterator
from threading import Lock

from sightsmith.api.inference.v1.prediction_service_pb2 import (
    ImageReference,
    StreamPredictRequest,
    StreamPredictResponse,
)
from sightsmith.api.inference.v1.prediction_service_pb2_grpc import PredictionServiceStub
from sightsmith.client.calls import calling
from sightsmith.client.patience import Patience
from sightsmith.errors import SightsmithError

NamedImage = tuple[str, bytes | ImageReference]
"""What an image is known by, and the encoded image or where it is."""


def stream_predictions(
    stub: PredictionServiceStub,
    options: StreamPredictRequest.Options,
    images: Iterable[NamedImage],
    patience: Patience | None = None,
) -> Iterator[StreamPredictResponse]:
    """Asks what is in images as they come; yields the answers in their order, one for each.

    A stream that breaks goes on as another one, from the first image that has no answer: what is sent and not answered
    is kept until it is, which is as much as the service reads ahead.

    The images are iterated in a thread of gRPC's, and no faster than the answers are taken. To stop early, close the
    iterator.

    Args:
        stub: of the service.
        options: of every stream.
        images: iterated once.
        patience: with a service that is away.

    Raises:
        SightsmithError: what ended the stream for good.
        Exception: whatever iterating the images raises.
    """
    patience, sent = patience or Patience(), _SentImages(images)
    while True:
        try:
            for answer in _answers(stub, options, sent.unanswered()):
                patience.answered()
                # Of all images, not of those of the stream that happened to answer.
                answer.index = sent.take_answered()
                yield answer
            if sent.error is not None:
                raise sent.error
            return
        except SightsmithError as error:
            # Where the images failed, all that gRPC can say is that something did.
            if sent.error is not None:
                raise sent.error from None
            patience.wait_after(error)


def _answers(
    stub: PredictionServiceStub, options: StreamPredictRequest.Options, images: Iterator[NamedImage]
) -> Iterator[StreamPredictResponse]:
    """What one stream answers."""
    call = stub.StreamPredict(_requests(options, images))
    try:
        with calling():
            yield from call
    finally:
        call.cancel()


def _requests(options: StreamPredictRequest.Options, images: Iterator[NamedImage]) -> Iterator[StreamPredictRequest]:
    yield StreamPredictRequest(options=options)
    for name, image in images:
        if isinstance(image, bytes):
            yield StreamPredictRequest(id=name, image=image)
        else:
            yield StreamPredictRequest(id=name, reference=image)


class _SentImages:
    """Images of which those that have no answer yet can be sent again.

    Several threads take part: gRPC iterates what it sends in one for each stream, and that of a stream which has broken
    may still wait for the next image while the next stream begins.

    Attributes:
        error: what iterating the images raised.
    """

    def __init__(self, images: Iterable[NamedImage]) -> None:
        self._images = iter(images)
        self._unanswered: deque[NamedImage] = deque()
        self._answered = 0
        self._state = Lock()
        self._taking = Lock()
        self.error: Exception | None = None

    def unanswered(self) -> Iterator[NamedImage]:
        """Every image from the first one on that has no answer."""
        position = self._answered
        while (image := self._at(position)) is not None:
            yield image
            position += 1

    def take_answered(self) -> int:
        """Takes note that the next image is answered; returns its position."""
        with self._state:
            self._unanswered.popleft()
            self._answered += 1
            return self._answered - 1

    def _at(self, position: int) -> NamedImage | None:
        """The image at a position; None if there is none, or if a newer stream has got beyond it."""
        if (image := self._kept(position)) is not None:
            return image
        with self._taking:
            # The thread of a stream that has broken may have taken it meanwhile.
            if (image := self._kept(position)) is not None or position < self._answered:
                return image
            return self._next()

    def _kept(self, position: int) -> NamedImage | None:
        with self._state:
            place = position - self._answered
            return self._unanswered[place] if 0 <= place < len(self._unanswered) else None

    def _next(self) -> NamedImage | None:
        try:
            image = next(self._images, None)
        except Exception as error:
            self.error = error
            raise
        if image is not None:
            with self._state:
                self._unanswered.append(image)
        return image
