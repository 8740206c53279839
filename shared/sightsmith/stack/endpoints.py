"""Where a running stack is found: written at its start for clients on the same machine. Holds no secrets."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sightsmith.stack import processes
from sightsmith.stack.data_folder import DataFolder
from sightsmith.stack.files import write_private


@dataclass(frozen=True)
class Endpoints:
    """The addresses of a running stack.

    Attributes:
        pid: the process that started the stack.
        pid_start_time: when that process started (clock ticks since boot), for pids are used again.
        data_dir: the stack's data folder.
        token_file: holds the bearer token that every service asks for.
        labeling, training, inference: gRPC targets.
        metrics: per process, the URL of its Prometheus metrics.
        triton_target: Triton's gRPC target.
        triton_url: Triton's HTTP URL; None where Triton runs elsewhere.
        nats_url: the NATS server, without its token.
        nats_token_file: holds the token of the embedded NATS server; None where NATS runs elsewhere.
        database_url: the database, without a password.
        object_store_url: the object store.
        triton_repository: the folder that Triton loads models from.
    """

    pid: int
    pid_start_time: int
    data_dir: Path
    token_file: Path
    labeling: str
    training: str
    inference: str
    metrics: dict[str, str]
    triton_target: str
    triton_url: str | None
    nats_url: str
    nats_token_file: Path | None
    database_url: str
    object_store_url: str
    triton_repository: Path

    def write(self, path: Path) -> None:
        """Writes the addresses as JSON."""
        write_private(path, json.dumps(asdict(self), indent=2, default=str) + "\n")


_PATHS = ("data_dir", "token_file", "nats_token_file", "triton_repository")


def find_running_stack(data_dir: Path) -> Endpoints | None:
    """The addresses of the stack that runs in this data folder, or None if none does."""
    try:
        values: dict[str, Any] = json.loads(DataFolder(data_dir.expanduser().resolve()).endpoints.read_text())
    except FileNotFoundError:
        return None
    endpoints = Endpoints(**values | {name: values[name] and Path(values[name]) for name in _PATHS})
    is_running = processes.start_time(endpoints.pid) == endpoints.pid_start_time
    return endpoints if is_running else None


def this_process() -> tuple[int, int]:
    """The pid and the start time of the process that asks."""
    start_time = processes.start_time(os.getpid())
    assert start_time is not None, "the process that asks is alive"  # noqa: S101
    return os.getpid(), start_time
