"""Channels from one service to another: calls carry the token, the actor and the id of the request that led to them."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from grpc import aio

from sightsmith.actor import ACTOR_HEADER, current_actor
from sightsmith.logs import current_request_id
from sightsmith.rpc.channel import channel_credentials, channel_options
from sightsmith.rpc.headers import AUTHORIZATION, REQUEST_ID_HEADER
from sightsmith.settings import Settings


def service_channel(target: str, settings: Settings) -> aio.Channel:
    """A channel from one service to another. Calls carry the token and the id of the request that led to them."""
    interceptors = _metadata_interceptors(settings.bearer_token)
    options = channel_options(settings.max_message_bytes)
    if settings.tls_ca_file is None:
        return aio.insecure_channel(target, options, interceptors=interceptors)
    credentials = channel_credentials(settings.tls_ca_file)
    return aio.secure_channel(target, credentials, options, interceptors=interceptors)


def _metadata_interceptors(token: str) -> list[aio.ClientInterceptor]:
    class _Unary(aio.UnaryUnaryClientInterceptor):
        async def intercept_unary_unary(
            self, continuation: Callable[..., Any], client_call_details: aio.ClientCallDetails, request: Any
        ) -> Any:
            return await continuation(_with_metadata(client_call_details, token), request)

    class _Stream(aio.UnaryStreamClientInterceptor):
        async def intercept_unary_stream(
            self, continuation: Callable[..., Any], client_call_details: aio.ClientCallDetails, request: Any
        ) -> Any:
            return await continuation(_with_metadata(client_call_details, token), request)

    return [_Unary(), _Stream()]


def _with_metadata(details: aio.ClientCallDetails, token: str) -> aio.ClientCallDetails:
    metadata = aio.Metadata(*(details.metadata or ()))
    metadata.add(AUTHORIZATION, f"Bearer {token}")
    if request_id := current_request_id():
        metadata.add(REQUEST_ID_HEADER, request_id)
    if actor := current_actor():
        metadata.add(ACTOR_HEADER, quote(actor))
    return aio.ClientCallDetails(details.method, details.timeout, metadata, details.credentials, details.wait_for_ready)
