"""Channels to our services: size limits, retries and errors are the same for every caller."""

import json
from pathlib import Path
from typing import Any, cast

import grpc
from grpc_status import rpc_status

from sightsmith.errors import SightsmithError
from sightsmith.rpc.status import from_status
from sightsmith.sizes import MAX_MESSAGE_BYTES

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


def error_of(error: grpc.RpcError) -> SightsmithError:
    """The error that the called service raised, or what gRPC itself says when the call did not get there."""
    status = rpc_status.from_call(cast(grpc.Call, error))
    if status is not None:
        return from_status(status)
    code, details = cast(grpc.Call, error).code(), cast(grpc.Call, error).details()
    plain = SightsmithError(f"{details}", reason=code.name)
    plain.code = code.value[0]
    return plain
