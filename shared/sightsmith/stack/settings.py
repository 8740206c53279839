"""Settings of the embedded stack, read from the environment (`SIGHTSMITH_…`)."""

from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from sightsmith.stack.data_folder import default_data_dir

Port = Annotated[int, Field(ge=1, le=65535)]


class StackSettings(BaseSettings):
    """Where the stack keeps its data, which ports it takes, and which servers it finds elsewhere."""

    model_config = SettingsConfigDict(env_prefix="SIGHTSMITH_", frozen=True, extra="ignore")

    data_dir: Annotated[Path, AfterValidator(lambda path: path.expanduser().resolve())] = Field(
        default_factory=default_data_dir
    )

    # Where the services and their metrics listen. The servers under them stay on loopback.
    listen_host: IPv4Address = IPv4Address("127.0.0.1")

    # Take whatever ports are free in place of the ones below.
    free_ports: bool = False
    labeling_port: Port = 50051
    training_port: Port = 50052
    inference_port: Port = 50053
    triton_grpc_port: Port = 8001
    triton_http_port: Port = 8000
    triton_metrics_port: Port = 8002
    nats_port: Port = 4222
    labeling_metrics_port: Port = 9101
    training_metrics_port: Port = 9102
    worker_metrics_port: Port = 9103
    inference_metrics_port: Port = 9104
    labeling_worker_metrics_port: Port = 9105

    # A server that runs elsewhere; the embedded one is then not started.
    database_url: SecretStr | None = None
    nats_url: str | None = None
    nats_token: SecretStr | None = None
    triton_target: str | None = None
    # Where clients reach Triton themselves; the embedded one, if everything stays on this machine.
    triton_public_target: str | None = None
    triton_public_url: str | None = None
    object_store_url: str | None = None

    # The folder that Triton loads models from; a Triton elsewhere must see the same one.
    triton_repository: Path | None = None

    # With these the services speak TLS (they read the same settings), and the health checks must too.
    tls_certificate_file: Path | None = None
    tls_key_file: Path | None = None
    tls_ca_file: Path | None = None

    start_timeout_seconds: float = Field(default=60.0, gt=0)
