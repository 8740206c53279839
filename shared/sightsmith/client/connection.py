"""Where the services are and how to be let in."""

import getpass
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from sightsmith.stack.endpoints import find_running_stack
from sightsmith.stack.settings import StackSettings


class ConnectionNotFoundError(Exception):
    """There is no running stack here and no setting that points at one."""


class _Environment(BaseSettings):
    """What the environment says of services that run elsewhere."""

    model_config = SettingsConfigDict(env_prefix="SIGHTSMITH_", extra="ignore")

    labeling_target: str | None = None
    training_target: str | None = None
    inference_target: str | None = None
    token: SecretStr | None = None
    token_file: Path | None = None
    tls_ca_file: Path | None = None
    actor: str | None = None


@dataclass(frozen=True)
class Connection:
    """Targets of the three services, the token, the authority to trust if they speak TLS, and the caller's name."""

    labeling: str
    training: str
    inference: str
    token: SecretStr
    ca_file: Path | None = None
    actor: str = ""

    @classmethod
    def find(cls, data_dir: Path | None = None) -> "Connection":
        """Takes what the environment names (`SIGHTSMITH_LABELING_TARGET`, `SIGHTSMITH_TOKEN_FILE`, …), and the rest
        from the stack that runs on this machine.

        Args:
            data_dir: the stack's data folder; the one that `sightsmith up` uses if left out.

        Raises:
            ConnectionNotFoundError: if something is missing and no stack runs here; it says what to do.
        """
        environment = _Environment()
        folder = data_dir or StackSettings().data_dir
        stack = find_running_stack(folder)

        def target(service: str) -> str:
            given: str | None = getattr(environment, f"{service}_target")
            if given is None and stack is None:
                raise ConnectionNotFoundError(
                    f"no stack runs in {folder}: start one with 'sightsmith --data-dir {folder} up', or set "
                    f"SIGHTSMITH_{service.upper()}_TARGET to where the service is"
                )
            return given or str(getattr(stack, service))

        return cls(
            labeling=target("labeling"),
            training=target("training"),
            inference=target("inference"),
            token=environment.token or _read_token(environment.token_file or (stack.token_file if stack else None)),
            ca_file=environment.tls_ca_file,
            actor=_user_name() if environment.actor is None else environment.actor,
        )


def _user_name() -> str:
    """Who works here, for the audit trail; `SIGHTSMITH_ACTOR` says it better."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A user id without an entry in the password file, as in many containers.
        return ""


def _read_token(file: Path | None) -> SecretStr:
    if file is None:
        raise ConnectionNotFoundError("set SIGHTSMITH_TOKEN_FILE to the file that holds the bearer token")
    try:
        return SecretStr(file.read_text().strip())
    except OSError as error:
        raise ConnectionNotFoundError(f"the token file {file} cannot be read: {error.strerror}") from error
