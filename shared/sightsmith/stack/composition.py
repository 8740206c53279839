"""What a stack is made of: which programs run, and what each of them is told about the others."""

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url

from sightsmith.stack import nats, postgres, triton
from sightsmith.stack.data_folder import DataFolder
from sightsmith.stack.endpoints import Endpoints, this_process
from sightsmith.stack.files import read_or_create_token
from sightsmith.stack.ports import PORTS_OF, client_host
from sightsmith.stack.program import Program
from sightsmith.stack.services import Service, service_program
from sightsmith.stack.settings import StackSettings

SERVERS = ("postgres", "nats", "triton")


@dataclass(frozen=True)
class Composition:
    """The programs of a stack. The services need the servers; the guard needs neither."""

    guard: Program
    servers: tuple[Program, ...]
    services: tuple[Program, ...]
    endpoints: Endpoints


def embedded_parts(settings: StackSettings, parts: Collection[str]) -> set[str]:
    """Those of `parts` that run here: not the servers that the settings find elsewhere."""
    elsewhere = {"postgres": settings.database_url, "nats": settings.nats_url, "triton": settings.triton_target}
    return {part for part in parts if elsewhere.get(part) is None}


def compose(
    folder: DataFolder,
    settings: StackSettings,
    parts: Collection[str],
    services: Sequence[Service],
    ports: Mapping[str, int],
) -> Composition:
    """Prepares each part's files in the data folder and says how to run it.

    Raises:
        StackError: if a part is not installed or cannot run on this machine.
    """
    read_or_create_token(folder.admin_token)
    endpoints = _endpoints(folder, settings, parts, ports)
    environment = _shared_environment(folder, settings, endpoints)
    return Composition(
        guard=_guard(folder, endpoints),
        servers=tuple(_server(name, folder, endpoints, ports) for name in SERVERS if name in parts),
        services=tuple(
            service_program(service, settings, ports, environment) for service in services if service.name in parts
        ),
        endpoints=endpoints,
    )


def _server(name: str, folder: DataFolder, endpoints: Endpoints, ports: Mapping[str, int]) -> Program:
    if name == "postgres":
        return postgres.prepare(folder)
    if name == "nats":
        return nats.prepare(folder, ports["nats_port"])
    return triton.prepare(
        folder,
        endpoints.triton_repository,
        grpc_port=ports["triton_grpc_port"],
        http_port=ports["triton_http_port"],
        metrics_port=ports["triton_metrics_port"],
    )


def _guard(folder: DataFolder, endpoints: Endpoints) -> Program:
    owner = (str(endpoints.pid), str(endpoints.pid_start_time))
    return Program(
        name="guard",
        command=(sys.executable, "-m", "sightsmith.stack.guard", str(folder.path), *owner),
        is_ready=None,
    )


def _endpoints(
    folder: DataFolder, settings: StackSettings, parts: Collection[str], ports: Mapping[str, int]
) -> Endpoints:
    def target(port: str) -> str:
        return f"{client_host(port, settings)}:{ports[port]}"

    pid, pid_start_time = this_process()
    return Endpoints(
        pid=pid,
        pid_start_time=pid_start_time,
        data_dir=folder.path,
        token_file=folder.admin_token,
        labeling=target("labeling_port"),
        training=target("training_port"),
        inference=target("inference_port"),
        metrics={
            process: f"http://{target(name)}/metrics"
            for process, names in PORTS_OF.items()
            for name in names
            if process in parts and name.endswith("_metrics_port")
        },
        triton_target=settings.triton_target or target("triton_grpc_port"),
        triton_url=f"http://{target('triton_http_port')}" if settings.triton_target is None else None,
        nats_url=_without_secret(settings.nats_url) if settings.nats_url else f"nats://{target('nats_port')}",
        nats_token_file=None if settings.nats_url else folder.nats_token,
        database_url=_without_password(settings) or postgres.database_url(folder),
        object_store_url=settings.object_store_url or folder.objects.as_uri(),
        triton_repository=settings.triton_repository or folder.triton_models,
    )


def _shared_environment(folder: DataFolder, settings: StackSettings, endpoints: Endpoints) -> dict[str, str]:
    """What every service is told; see `sightsmith.settings`. Holds secrets."""
    database_url = settings.database_url
    environment = {
        "SIGHTSMITH_DATA_DIR": str(folder.path),
        "SIGHTSMITH_WORK_DIR": str(folder.work),
        "SIGHTSMITH_TOKEN_FILE": str(folder.admin_token),
        "SIGHTSMITH_LABELING_TARGET": endpoints.labeling,
        "SIGHTSMITH_TRAINING_TARGET": endpoints.training,
        "SIGHTSMITH_INFERENCE_TARGET": endpoints.inference,
        "SIGHTSMITH_DATABASE_URL": database_url.get_secret_value() if database_url else endpoints.database_url,
        "SIGHTSMITH_NATS_URL": settings.nats_url or endpoints.nats_url,
        "SIGHTSMITH_TRITON_TARGET": endpoints.triton_target,
        "SIGHTSMITH_TRITON_REPOSITORY": str(endpoints.triton_repository),
        "SIGHTSMITH_OBJECT_STORE_URL": endpoints.object_store_url,
    }
    if endpoints.triton_url is not None and settings.listen_host.is_loopback:
        environment["SIGHTSMITH_TRITON_PUBLIC_TARGET"] = settings.triton_public_target or endpoints.triton_target
        environment["SIGHTSMITH_TRITON_PUBLIC_URL"] = settings.triton_public_url or endpoints.triton_url
    if settings.nats_url is None:
        environment["SIGHTSMITH_NATS_TOKEN"] = read_or_create_token(folder.nats_token)
    elif settings.nats_token is not None:
        environment["SIGHTSMITH_NATS_TOKEN"] = settings.nats_token.get_secret_value()
    return environment


def _without_password(settings: StackSettings) -> str | None:
    if settings.database_url is None:
        return None
    url = make_url(settings.database_url.get_secret_value()).set(password=None)
    return url.difference_update_query(["password"]).render_as_string()


def _without_secret(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
