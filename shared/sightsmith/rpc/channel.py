"""Channels to our services: token, request id, size limits and retries are the same for every caller."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import grpc
from grpc import aio
from grpc_status import rpc_status

from sightsmith.actor import ACTOR_HEADER, current_actor
from sightsmith.errors import SightsmithError
from sightsmith.logs import current_request_id
from sightsmith.rpc.interceptor import AUTHORIZATION, REQUEST_ID_HEADER
from sightsmith.rpc.status import from_status
from sightsmith.settings import MAX_MESSAGE_BYTES, Settings

# UNAVAILABLE means that the call was not carried out, or may be repeated: each of our creates has an id of its own.
_RETRIES = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{}],
                "retryPolicy": {
                    "maxAttempts": 5,
                    "initialBackoff": "0.2s",
                    "maxBackoff": "3s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ],
        "loadBalancingConfig": [{"round_robin": {}}],
    }
)


def channel_options(max_message_bytes: int = MAX_MESSAGE_BYTES) -> list[tuple[str, Any]]:
    """Options that clients and services share."""
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.service_config", _RETRIES),
        ("grpc.keepalive_time_ms", 30_000),
        # gRPC's own two minutes are long after a server is back.
        ("grpc.max_reconnect_backoff_ms", 3_000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]


def channel_credentials(ca_file: Path) -> grpc.ChannelCredentials:
    """TLS that trusts the authority in a PEM file."""
    return grpc.ssl_channel_credentials(ca_file.read_bytes())


def service_channel(target: str, settings: Settings) -> aio.Channel:
    """A channel from one service to another. Calls carry the token and the id of the request that led to them."""
    interceptors = _metadata_interceptors(settings.bearer_token)
    options = channel_options(settings.max_message_bytes)
    if settings.tls_ca_file is None:
        return aio.insecure_channel(target, options, interceptors=interceptors)
    credentials = channel_credentials(settings.tls_ca_file)
    return aio.secure_channel(target, credentials, options, interceptors=interceptors)


def error_of(error: grpc.RpcError) -> SightsmithError:
    """The error that the called service raised, or what gRPC itself says when the call did not get there."""
    status = rpc_status.from_call(cast(grpc.Call, error))
    if status is not None:
        return from_status(status)
    code, details = cast(grpc.Call, error).code(), cast(grpc.Call, error).details()
    plain = SightsmithError(f"{details}", reason=code.name)
    plain.code = code.value[0]
    return plain


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
