"""A gRPC server as every service here runs it: health, reflection, limits, TLS, an orderly end."""

from collections.abc import Callable, Sequence
from typing import Any

import grpc
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from sightsmith.logs import get_logger
from sightsmith.rpc.interceptor import CallInterceptor
from sightsmith.settings import Settings

_log = get_logger(__name__)
_MINUTE_MS = 60_000


class RpcServer:
    """A server with its servicers, health and reflection.

    Health is NOT_SERVING until `start` has returned and again from the moment `stop` is called.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._server = aio.server(
            interceptors=[CallInterceptor(settings.bearer_token)],
            maximum_concurrent_rpcs=settings.max_concurrent_calls,
            options=_options(settings),
        )
        self._health = health.aio.HealthServicer()
        self._services: list[str] = []
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

    def add(self, register: Callable[[Any, aio.Server], None], servicer: object, service: str) -> None:
        """Adds a servicer.

        Args:
            register: the generated `add_…Servicer_to_server`.
            servicer: what answers.
            service: the service's full name in the protos.
        """
        register(servicer, self._server)
        self._services.append(service)

    async def start(self) -> str:
        """Begins to listen and to serve.

        Returns:
            The address, with the port that was chosen if the settings left it open (port 0).

        Raises:
            OSError: if the address cannot be bound.
        """
        names = [*self._services, health.SERVICE_NAME]
        reflection.enable_server_reflection([*names, reflection.SERVICE_NAME], self._server)
        address = self._bind()
        await self._server.start()
        for name in ["", *names]:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        _log.info("listening", address=address, tls=self._settings.tls_certificate_file is not None)
        return address

    async def stop(self) -> None:
        """Tells health checks that the end is near, lets running calls finish for the time of grace, and closes."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(self._settings.shutdown_grace_seconds)

    def _bind(self) -> str:
        host, _, port = self._settings.listen.rpartition(":")
        credentials = _server_credentials(self._settings)
        try:
            if credentials is None:
                bound = self._server.add_insecure_port(self._settings.listen)
            else:
                bound = self._server.add_secure_port(self._settings.listen, credentials)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {self._settings.listen}: is port {port} taken?") from error
        return f"{host}:{bound}"


def _options(settings: Settings) -> Sequence[tuple[str, int]]:
    return (
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        # Two servers on one port would share calls by chance; here a taken port must be an error.
        ("grpc.so_reuseport", 0),
        # Quiet watches are kept alive by pings; the default of 300 s between pings would end them.
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        # Long connections are closed now and then, so that clients find new replicas behind a balancer.
        ("grpc.max_connection_age_ms", 30 * _MINUTE_MS),
        ("grpc.max_connection_age_grace_ms", 30 * _MINUTE_MS),
    )


def _server_credentials(settings: Settings) -> grpc.ServerCredentials | None:
    if settings.tls_certificate_file is None or settings.tls_key_file is None:
        return None
    pair = (settings.tls_key_file.read_bytes(), settings.tls_certificate_file.read_bytes())
    return grpc.ssl_server_credentials([pair])
