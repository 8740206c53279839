"""What goes with every call of the client: the token, a request id, errors with reasons."""

import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import quote

import grpc

from sightsmith.actor import ACTOR_HEADER
from sightsmith.client.connection import Connection
from sightsmith.rpc.channel import channel_credentials, channel_options, error_of
from sightsmith.rpc.headers import AUTHORIZATION, REQUEST_ID_HEADER

Item = TypeVar("Item")
Response = TypeVar("Response")


def open_channel(target: str, connection: Connection) -> grpc.Channel:
    """A channel whose calls all carry the connection's token and a request id of their own."""
    if connection.ca_file is None:
        channel = grpc.insecure_channel(target, channel_options())
    else:
        channel = grpc.secure_channel(target, channel_credentials(connection.ca_file), channel_options())
    return grpc.intercept_channel(channel, _Metadata(connection))


@contextmanager
def calling() -> Iterator[None]:
    """Turns what gRPC raises into a `SightsmithError`."""
    try:
        yield
    except grpc.RpcError as error:
        raise error_of(error) from error


def all_pages(fetch: Callable[[str], Response], items: Callable[[Response], Iterable[Item]]) -> Iterator[Item]:
    """Every item of a list, page by page.

    Args:
        fetch: returns the page of a token.
        items: the items of a page.
    """
    token = ""
    while True:
        with calling():
            page: Any = fetch(token)
        yield from items(page)
        token = page.next_page_token
        if not token:
            return


class _Details(grpc.ClientCallDetails):
    """A call's details with metadata added."""

    def __init__(self, details: grpc.ClientCallDetails, added: list[tuple[str, str]]) -> None:
        self.method = details.method
        self.timeout = details.timeout
        self.metadata = (*(details.metadata or ()), *added)
        self.credentials = details.credentials
        self.wait_for_ready = details.wait_for_ready
        self.compression = details.compression


class _Metadata(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Adds the metadata, whatever the kind of the call."""

    def __init__(self, connection: Connection) -> None:
        self._always = [(AUTHORIZATION, f"Bearer {connection.token.get_secret_value()}")]
        if connection.actor:
            self._always.append((ACTOR_HEADER, quote(connection.actor)))

    def _continue(self, continuation: Callable[..., Any], details: grpc.ClientCallDetails, request: Any) -> Any:
        added = list(self._always)
        if REQUEST_ID_HEADER not in dict(details.metadata or ()):
            added.append((REQUEST_ID_HEADER, str(uuid.uuid4())))
        return continuation(_Details(details, added), request)

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        return self._continue(continuation, client_call_details, request)

    def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        return self._continue(continuation, client_call_details, request)

    def intercept_stream_unary(
        self, continuation: Callable[..., Any], client_call_details: grpc.ClientCallDetails, request_iterator: Any
    ) -> Any:
        return self._continue(continuation, client_call_details, request_iterator)

    def intercept_stream_stream(
        self, continuation: Callable[..., Any], client_call_details: grpc.ClientCallDetails, request_iterator: Any
    ) -> Any:
        return self._continue(continuation, client_call_details, request_iterator)
