"""How each of the other servers is installed, started and asked."""

import base64
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from tritonclient import grpc as kserve
from tritonclient.utils import InferenceServerException

from tests.perf.progress import tell

_REPOSITORY = Path(__file__).parents[3]
_ENVIRONMENTS = _REPOSITORY / "build" / "other-servers"
_APPS = "tests.perf.other_servers"
_START_SECONDS, _STOP_SECONDS = 120, 20

Ask = Callable[[bytes], object]
"""Sends an encoded image and returns the scores."""


class _RefusedError(Exception):
    """A server answers, and not with scores."""


@dataclass(frozen=True)
class OtherServer:
    """A server.

    Attributes:
        name: of its package, too.
        version: that is installed.
        command: that starts it, given the folder of programs of its environment, a folder of its own, and a port.
        client: makes what asks it at a port, from any number of threads.
        beside: what else is installed, where the package itself takes versions that it does not run with.
    """

    name: str
    version: str
    command: Callable[[Path, Path, int], Sequence[str | Path]]
    client: Callable[[int], Ask]
    beside: tuple[str, ...] = ()


@contextmanager
def running(server: OtherServer, folder: Path, environment: Mapping[str, str], image: bytes) -> Iterator[Ask]:
    """A server that has answered once; it is ended with the block.

    Args:
        server: which.
        folder: for its log and settings.
        environment: what `given_model` reads.
        image: to ask it about until it answers.

    Raises:
        RuntimeError: if it does not answer; names its log.
        CalledProcessError: if it cannot be installed.
    """
    programs = _installed(server)
    port = _free_port()
    log = folder / f"{server.name}.log"
    python_path = os.pathsep.join(map(str, (_REPOSITORY, _REPOSITORY / "shared")))
    with log.open("wb") as output:
        process = subprocess.Popen(
            list(map(str, server.command(programs, folder, port))),
            cwd=folder,
            env=os.environ | {"PYTHONPATH": python_path} | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            # All of its workers end with it.
            start_new_session=True,
        )
    try:
        ask = server.client(port)
        _wait(process, lambda: ask(image), log)
        yield ask
    finally:
        _end(process)


def _installed(server: OtherServer) -> Path:
    environment = _ENVIRONMENTS / f"{server.name}-{server.version}"
    programs = environment / "bin"
    if not (environment / "installed").exists():
        tell(f"installing {server.name} {server.version}")
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        # What runs the model and decodes is the same as everywhere else.
        ours = [f"{name}=={version(name)}" for name in ("onnxruntime", "Pillow")]
        pip: list[str | Path] = [
            programs / "python",
            "-m",
            "pip",
            "install",
            "--quiet",
            f"{server.name}=={server.version}",
            *server.beside,
            *ours,
        ]
        subprocess.run(pip, check=True)
        (environment / "installed").touch()
    return programs


def _free_port() -> int:
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        port: int = some.getsockname()[1]
        return port


def _wait(process: "subprocess.Popen[bytes]", ask: Callable[[], object], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            ask()
            return
        except (OSError, http.client.HTTPException, InferenceServerException, _RefusedError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"a server does not answer; its log is {log}") from error
            time.sleep(0.5)


def _end(process: "subprocess.Popen[bytes]") -> None:
    os.killpg(process.pid, 15)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()


def _litserve(programs: Path, _: Path, port: int) -> Sequence[str | Path]:
    return [programs / "python", "-m", f"{_APPS}.litserve_app", str(port)]


def _bentoml(programs: Path, _: Path, port: int) -> Sequence[str | Path]:
    return [programs / "bentoml", "serve", f"{_APPS}.bentoml_app:Classifier", "--host", "127.0.0.1", "-p", str(port)]


def _mlserver(programs: Path, folder: Path, port: int) -> Sequence[str | Path]:
    settings = {
        "host": "127.0.0.1",
        "http_port": _free_port(),
        "grpc_port": port,
        "metrics_port": _free_port(),
        "parallel_workers": os.cpu_count() or 1,
    }
    model = {"name": "classifier", "implementation": f"{_APPS}.mlserver_app.Classifier"}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    return [programs / "mlserver", "start", folder]


def _json_body(image: bytes) -> tuple[bytes, str]:
    return json.dumps({"image": base64.b64encode(image).decode()}).encode(), "application/json"


def _form_body(image: bytes) -> tuple[bytes, str]:
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n'
    body = f"{head}Content-Type: image/jpeg\r\n\r\n".encode() + image + f"\r\n--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


def _by_http(body_of: Callable[[bytes], tuple[bytes, str]]) -> Callable[[int], Ask]:
    """Asks by HTTP, with one connection for each thread that is kept open."""

    def client(port: int) -> Ask:
        mine = threading.local()

        def ask(image: bytes) -> object:
            if not hasattr(mine, "connection"):
                mine.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            body, media_type = body_of(image)
            try:
                mine.connection.request("POST", "/predict", body, {"Content-Type": media_type})
                answer = mine.connection.getresponse()
                said = answer.read()
            except (OSError, http.client.HTTPException):
                mine.connection.close()  # Otherwise it waits for ever to be done with this one.
                raise
            if answer.status != http.HTTPStatus.OK:
                raise _RefusedError(f"HTTP {answer.status}: {said[:200]!r}")
            return json.loads(said)

        return ask

    return client


def _by_kserve(port: int) -> Ask:
    client = kserve.InferenceServerClient(f"127.0.0.1:{port}")

    def ask(image: bytes) -> object:
        tensor = kserve.InferInput("image", [1], "BYTES")
        tensor.set_data_from_numpy(np.array([image], dtype=np.object_))
        return client.infer("classifier", [tensor]).as_numpy("scores")

    return ask


SERVERS = (
    OtherServer("litserve", "0.2.19", _litserve, _by_http(_json_body)),
    OtherServer("bentoml", "1.4.39", _bentoml, _by_http(_form_body)),
    # Its workers want an event loop that newer ones no longer make by themselves.
    OtherServer("mlserver", "1.7.1", _mlserver, _by_kserve, ("uvloop<0.22",)),
)
