"""Streams of predictions that break go on from the first image that has no answer, by a real gRPC server."""

from collections.abc import Iterator
from concurrent import futures
from threading import Event
from typing import Any

import grpc
import pytest

from sightsmith.api.inference.v1 import prediction_service_pb2 as pb
from sightsmith.api.inference.v1 import prediction_service_pb2_grpc as services
from sightsmith.client.patience import Patience
from sightsmith.client.predictions import stream_predictions
from sightsmith.errors import SightsmithError

OPTIONS = pb.StreamPredictRequest.Options(deployment="projects/shop/deployments/live")


class _Breaking(services.PredictionServiceServicer):
    """Ends each stream but the last after so many answers; reads one image more than it answers."""

    def __init__(self, *answers: int, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> None:
        self._answers = list(answers)
        self._code = code
        self.streams: list[list[str]] = []

    def StreamPredict(
        self, requests: Iterator[pb.StreamPredictRequest], context: Any
    ) -> Iterator[pb.StreamPredictResponse]:
        assert next(requests).options == OPTIONS
        seen: list[str] = []
        self.streams.append(seen)
        most = self._answers.pop(0) if self._answers else None
        for index, request in enumerate(requests):
            seen.append(request.id)
            if index == most:
                context.abort(self._code, "the stream is cut")
            yield pb.StreamPredictResponse(id=request.id, index=index)


@pytest.fixture
def servers() -> Iterator[list[grpc.Server]]:
    started: list[grpc.Server] = []
    yield started
    for server in started:
        server.stop(0)


def _stub(servers: list[grpc.Server], servicer: _Breaking) -> services.PredictionServiceStub:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    services.add_PredictionServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    servers.append(server)
    return services.PredictionServiceStub(grpc.insecure_channel(f"127.0.0.1:{port}"))


def _images(count: int) -> Iterator[tuple[str, bytes]]:
    return ((str(number), b"image") for number in range(count))


def test_every_image_is_answered_once_and_in_its_turn(servers: list[grpc.Server]) -> None:
    servicer, waits = _Breaking(3, 0, 5), list[SightsmithError]()
    answers = list(stream_predictions(_stub(servers, servicer), OPTIONS, _images(20), Patience(10, waits.append)))
    assert [answer.id for answer in answers] == [str(number) for number in range(20)]
    assert [answer.index for answer in answers] == list(range(20))
    # Each stream began with the first image that had no answer.
    assert [seen[0] for seen in servicer.streams] == ["0", "3", "3", "8"]
    # Told once for each time without an answer.
    assert [wait.message for wait in waits] == ["the stream is cut"] * 2


def test_patience_ends(servers: list[grpc.Server]) -> None:
    stub = _stub(servers, _Breaking(2, *[0] * 100))
    answers = []
    with pytest.raises(SightsmithError, match=r"the stream is cut \(waited 0.5 s\)"):
        answers += stream_predictions(stub, OPTIONS, _images(5), Patience(0.5))


def test_what_waiting_does_not_help_ends_it_at_once(servers: list[grpc.Server]) -> None:
    servicer = _Breaking(2, code=grpc.StatusCode.NOT_FOUND)
    with pytest.raises(SightsmithError, match="the stream is cut") as raised:
        list(stream_predictions(_stub(servers, servicer), OPTIONS, _images(5)))
    assert raised.value.reason == "NOT_FOUND"
    assert len(servicer.streams) == 1


def test_images_that_cannot_be_had_end_it_with_their_own_error(servers: list[grpc.Server]) -> None:
    def images() -> Iterator[tuple[str, bytes]]:
        yield "0", b"image"
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(stream_predictions(_stub(servers, _Breaking()), OPTIONS, images()))


def test_the_thread_of_a_broken_stream_may_still_wait_for_an_image(servers: list[grpc.Server]) -> None:
    is_answered = Event()

    def camera() -> Iterator[tuple[str, bytes]]:
        yield "0", b"image"
        yield "1", b"image"
        # Only once the second stream has answered what the first one had not.
        assert is_answered.wait(10)
        yield "2", b"image"

    found = []
    for answer in stream_predictions(_stub(servers, _Breaking(1)), OPTIONS, camera(), Patience(10)):
        found.append(answer.id)
        if answer.id == "1":
            is_answered.set()
    assert found == ["0", "1", "2"]


def test_a_stopped_deployment_is_not_waited_for() -> None:
    error = SightsmithError("live is STOPPED", reason="WRONG_STATE", metadata={"state": "STOPPED"})
    error.code = grpc.StatusCode.UNAVAILABLE.value[0]
    with pytest.raises(SightsmithError, match=r"live is STOPPED$"):
        Patience(10).wait_after(error)
    error.metadata["state"] = "STARTING"
    Patience(10).wait_after(error)
