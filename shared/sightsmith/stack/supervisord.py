"""The supervisor of all processes: supervisord, with a configuration of our making, asked over its Unix socket."""

import io
import os
import shlex
import signal
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterable, Mapping
from configparser import RawConfigParser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from sightsmith.stack import processes
from sightsmith.stack.data_folder import DataFolder
from sightsmith.stack.errors import StackError
from sightsmith.stack.files import write_private
from sightsmith.stack.leftovers import MARKER
from sightsmith.stack.program import Program

_LOG_BYTES = 10 * 1024 * 1024
_LOG_BACKUPS = 3
# A process that ends before this is "exited too quickly", and started again with growing pauses.
_START_SECONDS = 2
# The pauses grow by a second each: 30 of them bear about eight minutes without a database.
_START_RETRIES = 30
_LAUNCH_SECONDS = 15.0
_POLL_SECONDS = 0.05

# What the one who starts the stack may have set for other uses, and must not reach the services.
_NOT_INHERITED = ("SIGHTSMITH_TOKEN", "SUPERVISOR_ENABLED")


@dataclass(frozen=True)
class Group:
    """Programs that are started and stopped together. Groups stop in the reverse of their order."""

    name: str
    programs: tuple[Program, ...]
    starts_by_itself: bool = True


@dataclass(frozen=True)
class ProcessState:
    """What supervisord knows of a process. `name` is one of its state names; `pid` is 0 where none runs."""

    name: str
    pid: int
    started: int
    description: str


def render_configuration(folder: DataFolder, groups: Iterable[Group]) -> str:
    """The text of `supervisord.conf`.

    Raises:
        StackError: if a value cannot be written in supervisord's format.
    """
    config = RawConfigParser()
    config["supervisord"] = {
        "nodaemon": "true",
        "silent": "true",
        "directory": _text(folder.path),
        "logfile": _text(folder.log("supervisord")),
        "logfile_maxbytes": str(_LOG_BYTES),
        "logfile_backups": str(_LOG_BACKUPS),
        "pidfile": _text(folder.run / "supervisord.pid"),
        # Without this line it warns that it runs as root, which the one who started it knows.
        **({"user": "root"} if os.geteuid() == 0 else {}),
    }
    config["unix_http_server"] = {"file": _text(folder.supervisor_socket), "chmod": "0700"}
    config["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    for priority, group in enumerate(groups, start=1):
        names = ",".join(program.name for program in group.programs)
        config[f"group:{group.name}"] = {"programs": names, "priority": str(priority)}
        for program in group.programs:
            config[f"program:{program.name}"] = _program_section(folder, program, group.starts_by_itself)
    text = io.StringIO()
    config.write(text)
    return text.getvalue()


def _program_section(folder: DataFolder, program: Program, starts_by_itself: bool) -> dict[str, str]:
    section = {
        "command": _text(shlex.join(program.command)),
        "autostart": str(starts_by_itself).lower(),
        "autorestart": "true",
        "startsecs": str(_START_SECONDS),
        "startretries": str(_START_RETRIES),
        "stopsignal": program.stop_signal,
        "stopwaitsecs": str(program.stop_seconds),
        "killasgroup": "true",
        "umask": "077",
        "redirect_stderr": "true",
        # This one entry is expanded twice.
        "stdout_logfile": _text(_text(folder.log(program.name))),
        "stdout_logfile_maxbytes": str(_LOG_BYTES),
        "stdout_logfile_backups": str(_LOG_BACKUPS),
    }
    if program.environment:
        section["environment"] = _environment(program.environment)
    if program.user:
        section["user"] = program.user
    return section


def _environment(variables: Mapping[str, str]) -> str:
    return ",".join(f"{name}={_quoted(name, value)}" for name, value in variables.items())


def _quoted(name: str, value: str) -> str:
    # supervisord knows no escape for a quote inside quotes, and strips both kinds at the ends.
    quote = next((quote for quote in "\"'" if quote not in value), None)
    if quote is None or value != value.strip("\"'"):
        raise StackError(f"{name} holds quotation marks that supervisord cannot be given")
    return f"{quote}{_text(value)}{quote}"


def _text(value: object) -> str:
    """A value in supervisord's format: `%` doubled; what would be read as a comment or a new line is refused."""
    text = str(value)
    if any(part in text for part in ("\n", "\r", "\0", " ;", " #", "\t;", "\t#")):
        # The value may be a secret: it is not shown.
        raise StackError("a path or a URL holds a line break, or a space before ';' or '#', which supervisord refuses")
    return text.replace("%", "%%")


class Supervisor:
    """A supervisord of our own, as a child process."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._groups: dict[str, str] = {}

    def launch(self, groups: Iterable[Group]) -> None:
        """Starts supervisord, which starts the groups that start by themselves.

        Raises:
            StackError: if it ends at once or does not answer.
        """
        groups = tuple(groups)
        self._groups = {program.name: group.name for group in groups for program in group.programs}
        write_private(self._folder.supervisord_config, render_configuration(self._folder, groups))
        environment = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "supervisor.supervisord", "--configuration", self._folder.supervisord_config],
                env=environment | {MARKER: str(self._folder.path)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C in a terminal reaches the owner alone, which then stops the rest in order.
                start_new_session=True,
                umask=0o077,
            )
        self._wait_answering(time.monotonic() + _LAUNCH_SECONDS)

    def state(self, name: str) -> ProcessState:
        """How a process does."""
        info = self._call("getProcessInfo", self._full_name(name))
        return ProcessState(info["statename"], info["pid"], info["start"], info["spawnerr"] or info["description"])

    def start(self, name: str) -> None:
        """Starts a process that is stopped, without waiting for it; one that runs is left alone."""
        if self.state(name).name in ("STOPPED", "EXITED", "FATAL"):
            self._call("startProcess", self._full_name(name), False)

    def stop(self, name: str) -> None:
        """Stops a process and waits for its end; one that does not run is left alone."""
        if self.state(name).name not in ("STOPPED", "EXITED", "FATAL"):
            self._call("stopProcess", self._full_name(name), True)

    def shut_down(self, seconds: float) -> bool:
        """Stops all processes, then supervisord; returns whether that was done within `seconds`."""
        if self._process is None:
            return True
        self._process.terminate()
        try:
            return self._process.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            processes.send(self._process.pid, signal.SIGKILL)
            self._process.wait()
            return False

    @property
    def is_alive(self) -> bool:
        """Whether supervisord itself runs."""
        return self._process is not None and self._process.poll() is None

    def _full_name(self, name: str) -> str:
        if name not in self._groups:
            raise ValueError(f"the stack runs no process {name!r}: it runs {', '.join(self._groups)}")
        return f"{self._groups[name]}:{name}"

    @property
    def _output(self) -> Path:
        return self._folder.log("supervisord-output")

    def _wait_answering(self, deadline: float) -> None:
        while True:
            if not self.is_alive:
                raise StackError.of_process("supervisord", "ended at once", self._output)
            try:
                self._call("getState")
            except StackError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_SECONDS)
            else:
                return

    def _call(self, method: str, *arguments: object) -> Any:
        # One connection a call: supervisord may have been started anew, and calls are rare.
        transport = SupervisorTransport(serverurl=f"unix://{self._folder.supervisor_socket}")
        server = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
        try:
            return getattr(server.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            raise StackError(f"supervisord refused {method}{arguments}: {fault.faultString}") from fault
        except (OSError, xmlrpc.client.ProtocolError) as error:
            raise StackError(f"supervisord does not answer ({error}); its log: {self._output}") from error
        finally:
            transport.close()
