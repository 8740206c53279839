"""Where the services are and how to be let in."""

import getpass
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sightsmith.stack.data_folder import chosen_data_dir
from sightsmith.stack.endpoints import find_running_stack


class ConnectionNotFoundError(Exception):
    """There is no running stack here and no setting that points at one."""


class Secret(Protocol):
    """What is not shown by chance, as pydantic's `SecretStr`."""

    def get_secret_value(self) -> str: ...


@dataclass(frozen=True)
class _Token:
    # Not pydantic's: to import that takes longer than most commands.
    value: str = field(repr=False)

    def get_secret_value(self) -> str:
        return self.value


@dataclass(frozen=True)
class Connection:
    """Targets of the three services, the token, the authority to trust if they speak TLS, and the caller's name."""

    labeling: str
    training: str
    inference: str
    token: Secret
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
        folder = data_dir or chosen_data_dir()
        stack = find_running_stack(folder)

        def target(service: str) -> str:
            given = _setting(f"{service.upper()}_TARGET")
            if given is None and stack is None:
                raise ConnectionNotFoundError(
                    f"no stack runs in {folder}: start one with 'sightsmith --data-dir {folder} up', or set "
                    f"SIGHTSMITH_{service.upper()}_TARGET to where the service is"
                )
            return given or str(getattr(stack, service))

        token, token_file, ca_file = map(_setting, ("TOKEN", "TOKEN_FILE", "TLS_CA_FILE"))
        actor = os.environ.get("SIGHTSMITH_ACTOR")

        return cls(
            labeling=target("labeling"),
            training=target("training"),
            inference=target("inference"),
            token=_Token(token or _read_token(token_file or (stack.token_file if stack else None))),
            ca_file=Path(ca_file) if ca_file else None,
            actor=_user_name() if actor is None else actor,
        )


def _setting(name: str) -> str | None:
    """What the environment says; None if nothing."""
    return os.environ.get(f"SIGHTSMITH_{name}") or None


def _user_name() -> str:
    """Who works here, for the audit trail; `SIGHTSMITH_ACTOR` says it better."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A user id without an entry in the password file, as in many containers.
        return ""


def _read_token(file: str | Path | None) -> str:
    if file is None:
        raise ConnectionNotFoundError("set SIGHTSMITH_TOKEN_FILE to the file that holds the bearer token")
    try:
        return Path(file).read_text().strip()
    except OSError as error:
        raise ConnectionNotFoundError(f"the token file {file} cannot be read: {error.strerror}") from error
