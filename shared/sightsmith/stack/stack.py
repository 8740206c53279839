"""The embedded stack: real servers and Sightsmith's own processes, as children of one supervisor on this machine."""

import signal
import time
from collections.abc import Callable, Collection, Sequence
from types import TracebackType
from typing import Self

from sightsmith.stack import processes
from sightsmith.stack.composition import SERVERS, Composition, compose, embedded_parts
from sightsmith.stack.data_folder import DataFolder
from sightsmith.stack.endpoints import Endpoints
from sightsmith.stack.errors import StackError
from sightsmith.stack.files import PRIVATE_FOLDER
from sightsmith.stack.leftovers import end_leftovers
from sightsmith.stack.lock import FolderLock
from sightsmith.stack.ports import choose_ports
from sightsmith.stack.program import Program
from sightsmith.stack.services import SERVICES, Service
from sightsmith.stack.settings import StackSettings
from sightsmith.stack.supervisord import Group, Supervisor

# Everything that a stack can run.
PARTS = (*SERVERS, *(service.name for service in SERVICES))

# Told how a process does: its name, then "starting" or "ready".
OnChange = Callable[[str, str], None]

_POLL_SECONDS = 0.1
# A process may fail once or twice on its way up, as when another is not there yet; more is a fault to be shown.
_STARTS_ALLOWED = 3


class Stack:
    """One stack in one data folder.

    As a context manager it is ready when the block begins, and gone with all its processes when the block ends. A
    stack whose owner is killed is ended by its guard within seconds, and a new start clears what is left.

    Args:
        settings: where it lives and which ports it takes; from the environment where not given.
        parts: the processes to run, out of `PARTS`. A server that the settings find elsewhere is not started.
        services: Sightsmith's own processes.

    Raises:
        ValueError: if there is no such part.
    """

    def __init__(
        self,
        settings: StackSettings | None = None,
        *,
        parts: Collection[str] = PARTS,
        services: Sequence[Service] = SERVICES,
    ) -> None:
        if unknown := set(parts) - set(PARTS):
            raise ValueError(f"parts: there is no {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
        self._settings = settings or StackSettings()
        self._parts = embedded_parts(self._settings, parts)
        self._services = services
        self._folder = DataFolder(self._settings.data_dir)
        self._lock = FolderLock(self._folder.lock)
        self._supervisor = Supervisor(self._folder)
        self._composition: Composition | None = None

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Starts the supervisor and the servers; `wait_ready` starts the services, which need the servers.

        Raises:
            StackError: if another stack runs in the data folder, a port is taken, a server is not installed, or only
                some of the files for TLS are set.
        """
        _require_whole_tls(self._settings)
        self._make_data_dir()
        self._lock.acquire()
        try:
            end_leftovers(self._folder)
            self._folder.create()
            ports = choose_ports(self._settings, self._parts)
            self._composition = compose(self._folder, self._settings, self._parts, self._services, ports)
            self._supervisor.launch(_groups(self._composition))
            self._composition.endpoints.write(self._folder.endpoints)
        except BaseException:
            self.stop()
            raise

    def wait_ready(self, on_change: OnChange | None = None) -> None:
        """Returns when every process answers its health check, first the servers, then the services.

        May be called again at any time, as after a process was killed.

        Args:
            on_change: told of each process when it is waited for ("starting") and when it answers ("ready").

        Raises:
            StackError: if a process keeps failing or is not ready in time; shows the last lines of its log.
        """
        composition = self._running()
        deadline = time.monotonic() + self._settings.start_timeout_seconds
        tell = on_change or _tell_nobody
        for programs in (composition.servers, composition.services):
            for program in programs:
                self._supervisor.start(program.name)
                tell(program.name, "starting")
            self._wait(programs, deadline, tell)
            for program in programs:
                program.after_ready()

    def stop(self) -> None:
        """Stops the services, then the servers, and returns when every process has ended. May be called twice."""
        if not self._lock.is_held:
            return
        if self._composition is not None:
            self._supervisor.shut_down(_stop_seconds(_groups(self._composition)))
        end_leftovers(self._folder)
        self._composition = None
        self._lock.release()

    @property
    def is_alive(self) -> bool:
        """Whether the supervisor still runs: it ends with everything when somebody kills it or its guard."""
        return self._composition is not None and self._supervisor.is_alive

    def restart(self, process: str) -> None:
        """Stops and starts one process, and waits until it is ready again."""
        self._running()
        self._supervisor.stop(process)
        self._supervisor.start(process)
        self.wait_ready()

    def kill(self, process: str) -> None:
        """Kills one process at once (SIGKILL), as a crash would; the supervisor starts it again.

        Returns when the supervisor has seen its end, so that `wait_ready` waits for the next one.

        Raises:
            StackError: if it does not run.
        """
        pid = self.pid(process)
        processes.send(pid, signal.SIGKILL)
        while self._supervisor.state(process).pid == pid:
            time.sleep(_POLL_SECONDS)

    def pid(self, process: str) -> int:
        """The id of a running process.

        Raises:
            StackError: if it does not run.
            ValueError: if the stack has no such process.
        """
        self._running()
        state = self._supervisor.state(process)
        if not state.pid:
            raise StackError(f"{process} does not run: {state.name} {state.description}".rstrip())
        return state.pid

    @property
    def endpoints(self) -> Endpoints:
        """The addresses of the running stack."""
        return self._running().endpoints

    def _running(self) -> Composition:
        if self._composition is None:
            raise StackError("the stack is not started")
        return self._composition

    def _make_data_dir(self) -> None:
        try:
            self._folder.path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        except OSError as error:
            raise StackError(f"SIGHTSMITH_DATA_DIR: cannot make {self._folder.path}: {error.strerror}") from error

    def _wait(self, programs: Collection[Program], deadline: float, tell: OnChange) -> None:
        waiting = {program.name: program for program in programs}
        starts: dict[str, set[int]] = {name: set() for name in waiting}
        while waiting:
            for program in tuple(waiting.values()):
                if self._is_ready(program, starts[program.name]):
                    del waiting[program.name]
                    tell(program.name, "ready")
            if waiting and time.monotonic() > deadline:
                name = next(iter(waiting))
                seconds = self._settings.start_timeout_seconds
                problem = f"is not ready after {seconds:g} s; SIGHTSMITH_START_TIMEOUT_SECONDS allows more"
                raise StackError.of_process(name, problem, self._folder.log(name))
            time.sleep(_POLL_SECONDS if waiting else 0)

    def _is_ready(self, program: Program, starts: set[int]) -> bool:
        state = self._supervisor.state(program.name)
        if state.started:
            starts.add(state.started)
        gave_up = state.name == "FATAL" or len(starts) > _STARTS_ALLOWED
        if gave_up or (state.name == "BACKOFF" and len(starts) == _STARTS_ALLOWED):
            problem = f"does not start ({state.description})"
            raise StackError.of_process(program.name, problem, self._folder.log(program.name))
        if program.is_ready is None:
            return state.name == "RUNNING"
        return state.name in ("STARTING", "RUNNING") and program.is_ready()


def _require_whole_tls(settings: StackSettings) -> None:
    """A client may have the authority alone; a stack's services also listen and call each other."""
    files = (settings.tls_certificate_file, settings.tls_key_file, settings.tls_ca_file)
    if any(files) and not all(files):
        raise StackError(
            "SIGHTSMITH_TLS_CERTIFICATE_FILE, SIGHTSMITH_TLS_KEY_FILE and SIGHTSMITH_TLS_CA_FILE must be set together: "
            "the services also call each other"
        )


def _groups(composition: Composition) -> tuple[Group, ...]:
    """The groups in the order of their start; supervisord stops the last first, and the guard at the very end."""
    groups = (
        Group("guard", (composition.guard,)),
        Group("servers", composition.servers),
        Group("services", composition.services, starts_by_itself=False),
    )
    return tuple(group for group in groups if group.programs)


def _stop_seconds(groups: Collection[Group]) -> float:
    """The longest that an orderly stop takes: the groups one after the other, each as long as its slowest."""
    return 5 + sum(max(program.stop_seconds for program in group.programs) for group in groups)


def _tell_nobody(process: str, state: str) -> None:
    return None
