"""Sightsmith's own processes, as programs for the supervisor."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sightsmith.stack.ports import client_host
from sightsmith.stack.program import Program
from sightsmith.stack.settings import StackSettings

_ANSWER_SECONDS = 2.0


@dataclass(frozen=True)
class Service:
    """One of Sightsmith's processes: a module that is run, and whether it listens for gRPC calls."""

    name: str
    module: str
    listens: bool = True


SERVICES = (
    Service("labeling", "sightsmith_labeling"),
    Service("labeling-worker", "sightsmith_labeling.worker", listens=False),
    Service("training", "sightsmith_training"),
    Service("worker", "sightsmith_training.worker", listens=False),
    Service("inference", "sightsmith_inference"),
)


def service_program(
    service: Service, settings: StackSettings, ports: Mapping[str, int], environment: Mapping[str, str]
) -> Program:
    """The program of one service; `environment` is what it shares with the others."""
    setting = service.name.replace("-", "_")
    listens = {"SIGHTSMITH_METRICS_LISTEN": f"{settings.listen_host}:{ports[f'{setting}_metrics_port']}"}
    is_ready = None
    if service.listens:
        name = f"{setting}_port"
        listens["SIGHTSMITH_LISTEN"] = f"{settings.listen_host}:{ports[name]}"
        is_ready = partial(_is_serving, f"{client_host(name, settings)}:{ports[name]}", _credentials(settings))
    return Program(
        name=service.name,
        command=(sys.executable, "-m", service.module),
        is_ready=is_ready,
        environment={**environment, **listens, "PYTHONUNBUFFERED": "1"},
        stop_seconds=15,
    )


def _credentials(settings: StackSettings) -> grpc.ChannelCredentials | None:
    if settings.tls_certificate_file is None:
        return None
    trusted: Path = settings.tls_ca_file or settings.tls_certificate_file
    return grpc.ssl_channel_credentials(trusted.read_bytes())


def _is_serving(target: str, credentials: grpc.ChannelCredentials | None) -> bool:
    """Whether the standard gRPC health service answers SERVING for the server as a whole."""
    # A channel's own retries wait longer with each failure; a fresh one, in no shared pool, tries at once.
    options = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))
    channel = (
        grpc.secure_channel(target, credentials, options) if credentials else grpc.insecure_channel(target, options)
    )
    with channel:
        try:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=_ANSWER_SECONDS)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
