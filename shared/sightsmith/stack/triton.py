"""Triton Inference Server on the CPU: the server program out of the wheel `nvidia-pytriton`, with our own backends.

That wheel has the `python` backend only. Two Python-based backends named `onnxruntime` and `pytorch` (a documented
feature of Triton) stand in for the ones in NVIDIA's image, so that one model repository serves both.
"""

import http.client
import os
import shutil
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

from sightsmith.stack.data_folder import DataFolder
from sightsmith.stack.errors import StackError
from sightsmith.stack.files import PRIVATE_FOLDER
from sightsmith.stack.program import Program

_HOST = "127.0.0.1"
_ANSWER_SECONDS = 2.0
_STUB = "triton_python_backend_stub"
_BACKENDS = ("onnxruntime", "pytorch")
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

_INSTALL = 'pip install "sightsmith[embedded]" && pip install --no-deps nvidia-pytriton==0.7.0'


def prepare(folder: DataFolder, repository: Path, *, grpc_port: int, http_port: int, metrics_port: int) -> Program:
    """Assembles the backends in the data folder.

    Raises:
        StackError: if the server, or the shared library of Python that its backends need, is not installed.
    """
    _require_packages()
    wheel = _wheel()
    server = wheel / "pytriton" / "tritonserver"
    repository.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    _assemble_backends(server, folder.triton_backends)
    return Program(
        name="triton",
        command=(
            str(server / "bin" / "tritonserver"),
            f"--model-repository={repository}",
            "--model-control-mode=explicit",
            # Every model here says all about itself; asking its backend first would take a process more at each load.
            "--disable-auto-complete-config",
            # Ready means that the server answers: one model that does not load is that model's trouble.
            "--strict-readiness=false",
            f"--backend-directory={folder.triton_backends}",
            f"--cache-directory={server / 'caches'}",
            f"--grpc-address={_HOST}",
            f"--grpc-port={grpc_port}",
            f"--http-address={_HOST}",
            f"--http-port={http_port}",
            f"--metrics-address={_HOST}",
            f"--metrics-port={metrics_port}",
            # The prefix tells whose shared memory it is, so that what a killed server left can be cleared.
            f"--backend-config=python,shm-region-prefix-name={folder.key}",
            "--exit-timeout-secs=8",
        ),
        is_ready=lambda: _answers(http_port),
        environment=_environment(wheel, folder),
        stop_seconds=12,
    )


def _wheel() -> Path:
    spec = find_spec("pytriton")
    if spec is None or spec.origin is None:
        raise StackError(f"the embedded Triton is not installed: {_INSTALL}")
    return Path(spec.origin).parent.parent


def _environment(wheel: Path, folder: DataFolder) -> dict[str, str]:
    programs = Path(sys.executable).parent
    return {
        "LD_LIBRARY_PATH": f"{wheel / 'nvidia_pytriton.libs'}:{_python_library().parent}",
        # The backends' process embeds Python in isolation: it heeds neither PYTHONPATH nor PYTHONHOME, and takes its
        # packages from the environment of the first `python3` on the PATH.
        "PATH": f"{programs}:{os.environ.get('PATH', os.defpath)}",
        # ONNX Runtime's wheels report to their maker unless told otherwise.
        "ORT_DISABLE_TELEMETRY": "1",
        # torch leaves folders behind wherever it is imported.
        "TMPDIR": str(folder.work),
    }


def _python_library() -> Path:
    """The shared library of this Python, which not every installation of Python brings.

    Raises:
        StackError: if there is none.
    """
    name = f"libpython{_PYTHON}.so.1.0"
    folders = (sysconfig.get_config_var("LIBDIR"), f"{sys.base_prefix}/lib", _multiarch_folder())
    found = next((Path(folder, name) for folder in folders if folder and Path(folder, name).exists()), None)
    if found is None:
        raise StackError(
            f"Triton's backends need {name}, and this Python has none: install the package libpython{_PYTHON} "
            "(apt install; Debian and Ubuntu), or use a Python built with --enable-shared"
        )
    return found


def _multiarch_folder() -> str:
    return f"/usr/lib/{sysconfig.get_config_var('MULTIARCH') or 'x86_64-linux-gnu'}"


def _require_packages() -> None:
    missing = [name for name in ("torch", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise StackError(f"the embedded Triton needs {' and '.join(missing)}: {_INSTALL}")


def _assemble_backends(server: Path, folder: Path) -> None:
    """Puts the backends into one folder, anew at each start, so that they are those of the installed version."""
    stub = server / "python_backend_stubs" / _PYTHON / _STUB
    if not stub.exists():
        raise StackError(f"the embedded Triton has no support for Python {_PYTHON}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=PRIVATE_FOLDER)
    shutil.copytree(server / "backends" / "python", folder / "python", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(stub, folder / "python" / _STUB)
    (folder / "python" / _STUB).chmod(0o700)
    sources = _backend_sources()
    for backend in _BACKENDS:
        # Triton adds a backend's own folder to the module path, and no other: what they share goes into each.
        for part in ("common", f"backends/{backend}"):
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(sources / part, folder / backend, ignore=ignore, dirs_exist_ok=True)


def _backend_sources() -> Path:
    here = Path(__file__).resolve()
    installed = here.parent / "triton_backends"
    in_checkout = here.parents[3] / "deploy" / "triton"
    return installed if installed.exists() else in_checkout


def _answers(http_port: int) -> bool:
    """Whether the server is ready, as the KServe v2 protocol has it: `GET /v2/health/ready` gives 200."""
    connection = http.client.HTTPConnection(_HOST, http_port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
