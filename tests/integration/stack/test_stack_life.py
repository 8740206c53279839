"""A stack from its start to its end, however it ends. The processes are real."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import nats
import psycopg
import pytest
from nats.aio.client import Client

from sightsmith.stack import Service, Stack, StackError, StackSettings, find_running_stack
from sightsmith.stack.data_folder import DataFolder
from sightsmith.stack.leftovers import stack_processes
from sightsmith.stack.processes import wait_ended

FAST_SERVERS = ("postgres", "nats")


def on_free_ports(data_dir: Path, *parts: str) -> Stack:
    return Stack(StackSettings(data_dir=data_dir, free_ports=True), parts=parts)


def database(stack: Stack) -> psycopg.Connection:
    return psycopg.connect(stack.endpoints.database_url.replace("+psycopg", ""), autocommit=True)


async def event_server(stack: Stack) -> Client:
    token_file = stack.endpoints.nats_token_file
    assert token_file is not None
    return await nats.connect(stack.endpoints.nats_url, token=token_file.read_text().strip())


def test_is_healthy_and_found(stack: Stack) -> None:
    found = find_running_stack(stack.endpoints.data_dir)
    assert found == stack.endpoints
    assert found.pid == os.getpid()
    with database(stack) as connection:
        assert connection.execute("SELECT '[1,0]'::vector <-> '[0,0]'::vector").fetchone() == (1.0,)


def test_services_connect_without_a_superusers_rights(stack: Stack) -> None:
    with database(stack) as connection:
        assert connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (False,)


async def test_events_need_the_token(stack: Stack) -> None:
    with pytest.raises(nats.errors.Error, match="Authorization"):
        await nats.connect(stack.endpoints.nats_url, allow_reconnect=False, max_reconnect_attempts=0)


def test_secrets_are_private(stack: Stack) -> None:
    folder = DataFolder(stack.endpoints.data_dir)
    for file in (folder.admin_token, folder.nats_token, folder.nats_config, folder.supervisord_config):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    token = folder.nats_token.read_text().strip()
    for pid in stack_processes(folder):
        assert token.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_one_stack_per_folder(stack: Stack) -> None:
    with pytest.raises(StackError, match=f"already runs .* {os.getpid()}"):
        on_free_ports(stack.endpoints.data_dir, "nats").start()
    assert find_running_stack(stack.endpoints.data_dir) is not None


def test_a_killed_server_comes_back(stack: Stack) -> None:
    before = stack.pid("nats")
    stack.kill("nats")
    stack.wait_ready()
    assert stack.pid("nats") != before


async def test_two_stacks_side_by_side_and_state_outlives_a_stop(stack: Stack, data_dir: Path) -> None:
    with on_free_ports(data_dir, *FAST_SERVERS) as other:
        assert other.endpoints.nats_url != stack.endpoints.nats_url
        with database(other) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS number")
        client = await event_server(other)
        await client.jetstream().add_stream(name="kept", subjects=["kept"])
        await client.close()
    assert stack_processes(DataFolder(data_dir)) == []
    assert find_running_stack(data_dir) is None

    with on_free_ports(data_dir, *FAST_SERVERS) as again:
        with database(again) as connection:
            assert connection.execute("SELECT number FROM kept").fetchone() == (42,)
        client = await event_server(again)
        assert (await client.jetstream().stream_info("kept")).config.name == "kept"
        await client.close()


def test_a_killed_owner_takes_its_stack_along(data_dir: Path) -> None:
    code = f"""
import sys, time
from pathlib import Path
from sightsmith.stack import Stack, StackSettings
with Stack(StackSettings(data_dir=Path({str(data_dir)!r}), free_ports=True), parts={FAST_SERVERS!r}):
    print("ready", flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "ready\n"
        pids = stack_processes(DataFolder(data_dir))
        assert len(pids) >= 4, "the supervisor, the guard and both servers"
        owner.kill()
    assert wait_ended(pids, seconds=15) == []


def test_a_killed_supervisor_leaves_nothing_behind(data_dir: Path) -> None:
    stack = on_free_ports(data_dir, *FAST_SERVERS)
    stack.start()
    stack.wait_ready()
    folder = DataFolder(data_dir)
    pids = stack_processes(folder)
    os.kill(int((folder.run / "supervisord.pid").read_text()), signal.SIGKILL)
    assert wait_ended(pids, seconds=15) == []
    with pytest.raises(StackError, match="supervisord does not answer"):
        stack.wait_ready()
    stack.stop()


def test_names_a_taken_port(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        settings = StackSettings(data_dir=data_dir, nats_port=port)
        with pytest.raises(StackError, match=f"port {port}, meant for nats.*SIGHTSMITH_NATS_PORT.*SIGHTSMITH_FREE_POR"):
            Stack(settings, parts=["nats"]).start()


def test_runs_services_and_tells_of_each(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    services = [Service("labeling", "health_only_service"), Service("worker", "health_only_service", listens=False)]
    stack = Stack(
        StackSettings(data_dir=data_dir, free_ports=True), parts=["nats", "labeling", "worker"], services=services
    )
    told: list[tuple[str, str]] = []
    stack.start()
    try:
        stack.wait_ready(lambda process, state: told.append((process, state)))
        assert told[:2] == [("nats", "starting"), ("nats", "ready")]
        assert {process for process, state in told if state == "ready"} == {"nats", "labeling", "worker"}
        before = stack.pid("labeling")
        stack.restart("labeling")
        assert stack.pid("labeling") != before
        started = time.monotonic()
    finally:
        stack.stop()
    assert time.monotonic() - started < 8
    assert stack_processes(DataFolder(data_dir)) == []


def test_shows_the_log_of_a_service_that_cannot_start(data_dir: Path) -> None:
    services = [Service("labeling", "no_such_module_of_ours")]
    stack = Stack(StackSettings(data_dir=data_dir, free_ports=True), parts=["labeling"], services=services)
    failure = r"labeling does not start(.|\n)*No module named no_such_module_of_ours"
    with pytest.raises(StackError, match=failure), stack:
        pass
    assert stack_processes(DataFolder(data_dir)) == []
