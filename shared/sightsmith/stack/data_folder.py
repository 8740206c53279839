"""Where the stack keeps everything: one folder that survives a restart."""

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import platformdirs

from sightsmith.stack.errors import StackError
from sightsmith.stack.files import PASSABLE_FOLDER, PRIVATE_FOLDER

# A Unix socket's path has at most 107 bytes, and supervisord adds its pid to the name while it binds.
_LONGEST_RUN_FOLDER = 107 - len("/supervisor.sock.4194304")


def default_data_dir() -> Path:
    """The user's own data folder; for root, whose home PostgreSQL's user may not enter, `/var/lib/sightsmith`."""
    return Path("/var/lib/sightsmith") if os.geteuid() == 0 else platformdirs.user_data_path("sightsmith")


def chosen_data_dir() -> Path:
    """The data folder that the environment names (`SIGHTSMITH_DATA_DIR`), or the default: that of `StackSettings`."""
    named = os.environ.get("SIGHTSMITH_DATA_DIR")
    return Path(named).expanduser().resolve() if named else default_data_dir()


@dataclass(frozen=True)
class DataFolder:
    """The paths inside a stack's data folder."""

    path: Path

    @property
    def admin_token(self) -> Path:
        return self.path / "admin-token"

    @property
    def nats_token(self) -> Path:
        return self.path / "nats-token"

    @property
    def lock(self) -> Path:
        return self.path / "stack.lock"

    @property
    def endpoints(self) -> Path:
        return self.path / "stack.json"

    @property
    def supervisord_config(self) -> Path:
        return self.path / "supervisord.conf"

    @property
    def nats_config(self) -> Path:
        return self.path / "nats.conf"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def postgres(self) -> Path:
        return self.path / "postgres"

    @property
    def postgres_programs(self) -> Path:
        return self.path / "postgres-programs"

    @property
    def nats(self) -> Path:
        return self.path / "nats"

    @property
    def objects(self) -> Path:
        return self.path / "objects"

    @property
    def triton_models(self) -> Path:
        return self.path / "triton-models"

    @property
    def triton_backends(self) -> Path:
        return self.path / "triton-backends"

    @property
    def work(self) -> Path:
        return self.path / "work"

    @cached_property
    def run(self) -> Path:
        """Holds the sockets: inside the data folder, or in the temporary folder where that path is too long."""
        inside = self.path / "run"
        return inside if len(os.fsencode(inside)) <= _LONGEST_RUN_FOLDER else Path(tempfile.gettempdir()) / self.key

    @property
    def supervisor_socket(self) -> Path:
        return self.run / "supervisor.sock"

    @property
    def postgres_socket(self) -> Path:
        return self.run / "postgres"

    @property
    def key(self) -> str:
        """A short name of this data folder, for things that must live outside it."""
        return f"sightsmith-{hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]}"

    def log(self, process: str) -> Path:
        """The log file of one process."""
        return self.logs / f"{process}.log"

    def create(self) -> None:
        """Makes the folders that are not there yet, for the owner's eyes only."""
        self.path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        for folder in (self.logs, self.objects, self.triton_models, self.work):
            folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        self._create_run()

    def _create_run(self) -> None:
        # The sockets of a stack that is gone must not stand in the way. In the shared temporary folder, another user
        # may have put something under this name: then making it again fails, and that is right.
        shutil.rmtree(self.run, ignore_errors=True)
        try:
            self.run.mkdir(mode=PRIVATE_FOLDER)
        except FileExistsError:
            raise StackError(
                f"{self.run} belongs to somebody else; set SIGHTSMITH_DATA_DIR to a shorter path"
            ) from None

    def let_others_pass(self) -> None:
        """Lets PostgreSQL's own user reach its folders inside; what else is here stays closed."""
        for folder in (self.path, self.run):
            folder.chmod(folder.stat().st_mode | PASSABLE_FOLDER)
