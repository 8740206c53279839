"""The TCP ports that a stack takes: those in its settings, or free ones."""

import secrets
import socket
from collections.abc import Collection, Iterator, Mapping
from ipaddress import IPv4Address

from sightsmith.stack.errors import StackError
from sightsmith.stack.settings import StackSettings

# Which settings hold the ports of which process.
PORTS_OF: Mapping[str, tuple[str, ...]] = {
    "labeling": ("labeling_port", "labeling_metrics_port"),
    "labeling-worker": ("labeling_worker_metrics_port",),
    "training": ("training_port", "training_metrics_port"),
    "worker": ("worker_metrics_port",),
    "inference": ("inference_port", "inference_metrics_port"),
    "triton": ("triton_grpc_port", "triton_http_port", "triton_metrics_port"),
    "nats": ("nats_port",),
}

# Below the range that Linux gives to outgoing connections (32768 and up): none of them can snatch a chosen port
# between the choice and the start of its process.
_FREE_PORTS = range(20_000, 32_000)
_LOOPBACK = "127.0.0.1"


def choose_ports(settings: StackSettings, parts: Collection[str]) -> dict[str, int]:
    """The port for each port setting; those of `parts` are free.

    Raises:
        StackError: if a port is taken, or set twice. Names the port, its process and the settings that change it.
    """
    names = [name for part, of_part in PORTS_OF.items() if part in parts for name in of_part]
    ports: dict[str, int] = {name: getattr(settings, name) for of_part in PORTS_OF.values() for name in of_part}
    if settings.free_ports:
        return ports | dict(zip(names, _free_ports(settings), strict=False))
    _check(settings, {name: ports[name] for name in names})
    return ports


def is_free(port: int, host: str = _LOOPBACK) -> bool:
    """Whether a process could listen on this port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a connection that is still closing does not count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            # Binding with SO_REUSEADDR may succeed beside another bound socket; listening does not.
            probe.listen(1)
        except OSError:
            return False
    return True


def host_of(name: str, settings: StackSettings) -> str:
    """The address that the process behind a port setting listens on."""
    on_loopback = name in PORTS_OF["triton"] + PORTS_OF["nats"]
    return _LOOPBACK if on_loopback else str(settings.listen_host)


def client_host(name: str, settings: StackSettings) -> str:
    """The address at which clients on this machine reach that process."""
    host = host_of(name, settings)
    return _LOOPBACK if IPv4Address(host).is_unspecified else host


def _free_ports(settings: StackSettings) -> Iterator[int]:
    candidates = secrets.SystemRandom().sample(_FREE_PORTS, k=len(_FREE_PORTS))
    return (port for port in candidates if is_free(port) and is_free(port, str(settings.listen_host)))


def _check(settings: StackSettings, ports: Mapping[str, int]) -> None:
    holders: dict[int, str] = {}
    for name, port in ports.items():
        if port in holders:
            raise StackError(f"port {port} is set for both {_variable(holders[port])} and {_variable(name)}")
        if not is_free(port, host_of(name, settings)):
            raise StackError(
                f"port {port}, meant for {_process_of(name)}, is taken by another program: "
                f"set {_variable(name)} to a free port, or SIGHTSMITH_FREE_PORTS=true to let the stack choose"
            )
        holders[port] = name


def _process_of(name: str) -> str:
    return next(process for process, names in PORTS_OF.items() if name in names)


def _variable(name: str) -> str:
    return f"SIGHTSMITH_{name.upper()}"
