"""Settings that every process shares, read from the environment (`SIGHTSMITH_…`).

Each setting has a default that is safe and works with the embedded stack. Secrets are `SecretStr` or come from files,
so that they are in no log and in no process list.
"""

from functools import cached_property
from pathlib import Path

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from sightsmith.sizes import MAX_MESSAGE_BYTES, MEBIBYTE

__all__ = ["MEBIBYTE", "Settings"]


class Settings(BaseSettings):
    """What a process of Sightsmith needs to know about the world around it."""

    model_config = SettingsConfigDict(env_prefix="SIGHTSMITH_", frozen=True, extra="ignore")

    # Where this process listens. Loopback unless told otherwise.
    listen: str = "127.0.0.1:0"
    metrics_listen: str = "127.0.0.1:0"

    # The three services, as gRPC targets.
    labeling_target: str = "127.0.0.1:50051"
    training_target: str = "127.0.0.1:50052"
    inference_target: str = "127.0.0.1:50053"

    # The servers under them.
    database_url: SecretStr = SecretStr("postgresql:///sightsmith")
    nats_url: str = "nats://127.0.0.1:4222"
    nats_token: SecretStr | None = None
    triton_target: str = "127.0.0.1:8001"
    triton_repository: Path = Path("triton-models")
    object_store_url: str = "file:///var/lib/sightsmith/objects"

    # Who may call. The token is given directly or, better, by file.
    token: SecretStr | None = None
    token_file: Path | None = None

    # TLS: with a certificate and key the servers speak TLS; with a CA the clients do.
    tls_certificate_file: Path | None = None
    tls_key_file: Path | None = None
    tls_ca_file: Path | None = None

    # Limits on what a client may send.
    max_message_bytes: int = Field(default=MAX_MESSAGE_BYTES, ge=64 * 1024)
    max_image_bytes: int = Field(default=20 * MEBIBYTE, ge=1024)
    max_image_pixels: int = Field(default=50_000_000, ge=1)
    min_image_side: int = Field(default=16, ge=1)
    max_concurrent_calls: int = Field(default=256, ge=1)
    shutdown_grace_seconds: float = Field(default=5.0, ge=0)

    log_level: str = "info"
    log_format: str = Field(default="json", pattern="^(json|console)$")

    @model_validator(mode="after")
    def _check_tls(self) -> "Settings":
        if (self.tls_certificate_file is None) != (self.tls_key_file is None):
            raise ValueError("tls_certificate_file and tls_key_file must be set together")
        return self

    @cached_property
    def bearer_token(self) -> str:
        """The token that callers must show.

        Raises:
            ValueError: if neither `token` nor a readable, non-empty `token_file` is set.
        """
        if self.token is not None:
            return self.token.get_secret_value()
        if self.token_file is None:
            raise ValueError("set SIGHTSMITH_TOKEN_FILE (or SIGHTSMITH_TOKEN): every call needs a bearer token")
        token = self.token_file.read_text().strip()
        if not token:
            raise ValueError(f"{self.token_file} is empty: it must hold the bearer token")
        return token
