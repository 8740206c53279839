"""Which ports a stack takes."""

import socket
from pathlib import Path

import pytest
from pydantic import ValidationError

from sightsmith.stack import StackError, StackSettings
from sightsmith.stack.ports import PORTS_OF, choose_ports, client_host

EVERYTHING = tuple(PORTS_OF)


def settings(tmp_path: Path, **values: object) -> StackSettings:
    return StackSettings.model_validate({"data_dir": tmp_path, **values})


def test_free_ports_differ(tmp_path: Path) -> None:
    ports = choose_ports(settings(tmp_path, free_ports=True), EVERYTHING)
    assert set(ports) == {name for names in PORTS_OF.values() for name in names}
    assert len(set(ports.values())) == len(ports)


def test_a_taken_port_is_named_with_its_process_and_settings(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(StackError) as error:
            choose_ports(settings(tmp_path, worker_metrics_port=port), ["worker"])
    for part in (str(port), "worker", "SIGHTSMITH_WORKER_METRICS_PORT", "SIGHTSMITH_FREE_PORTS"):
        assert part in str(error.value)


def test_a_port_of_a_process_that_does_not_run_here_may_be_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = settings(tmp_path, nats_port=holder.getsockname()[1], free_ports=False)
        assert choose_ports(taken, []) is not None


def test_a_port_set_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="SIGHTSMITH_TRITON_GRPC_PORT and SIGHTSMITH_TRITON_HTTP_PORT"):
        choose_ports(settings(tmp_path, triton_grpc_port=20123, triton_http_port=20123), ["triton"])


def test_an_impossible_port_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="nats_port"):
        settings(tmp_path, nats_port=70_000)


def test_clients_reach_a_service_on_all_addresses_over_loopback(tmp_path: Path) -> None:
    everywhere = settings(tmp_path, listen_host="0.0.0.0")  # noqa: S104
    assert client_host("labeling_port", everywhere) == "127.0.0.1"
    assert client_host("labeling_port", settings(tmp_path, listen_host="10.1.2.3")) == "10.1.2.3"
