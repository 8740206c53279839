"""The labeling service as a process of its own, as it runs in production."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

# A busy machine should make tests slow, not make them fail.
START_SECONDS = 120.0


class LabelingProcess:
    """`python -m sightsmith_labeling` on a free port; started again, it is on the same one."""

    module = "sightsmith_labeling"

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self.target = f"127.0.0.1:{free_port()}"
        self._environment = {**os.environ, **environment, "SIGHTSMITH_LISTEN": self.target}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0

    def begin(self) -> None:
        """Starts the process and does not wait for it."""
        self._starts += 1
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", self.module]
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)

    def wait_until_serving(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while not _is_serving(self.target):
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.05)

    def start(self) -> None:
        self.begin()
        self.wait_until_serving()

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Asks the process to end, and returns its exit code."""
        return self._end(signal.SIGTERM)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def peak_memory_bytes(self) -> int:
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
        return self._process.wait(timeout=12)


class WorkerProcess(LabelingProcess):
    """`python -m sightsmith_labeling.worker`, which listens nowhere: it shows that it works by what it does."""

    module = "sightsmith_labeling.worker"

    def wait_until_serving(self) -> None:
        """Returns when the process has begun; before that it does not end in order either."""
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while self._log.read_text().count("schema is up to date") < self._starts:
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.05)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _is_serving(target: str) -> bool:
    options = (("grpc.use_local_subchannel_pool", 1),)
    with grpc.insecure_channel(target, options) as channel:
        # The stub is generated without types.
        health: Any = health_pb2_grpc.HealthStub(channel)
        try:
            answer = health.Check(health_pb2.HealthCheckRequest(), timeout=2)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
