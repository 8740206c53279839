"""The training schema in a real PostgreSQL, and the service as a process of its own."""

import itertools
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import Result
from typer.testing import CliRunner

from sightsmith.cli.main import app
from sightsmith.client import Client, Connection
from sightsmith.database import Database, migrate
from sightsmith.objects import Objects, open_object_store
from sightsmith.settings import Settings
from sightsmith_training.jobs import TrainingJobs
from sightsmith_training.leases import Leases
from sightsmith_training.snapshots import TrainableSnapshot
from sightsmith_training.tables import MIGRATIONS, SCHEMA
from tests.integration.conftest import TOKEN
from tests.integration.training.finished_training import Workshop
from tests.integration.training.neighbours import Neighbours
from tests.integration.training.trained_model import publish
from tests.integration.training.training_server import TrainingServer

_projects = itertools.count()


@pytest.fixture(scope="session")
async def database(server_settings: Settings) -> AsyncIterator[Database]:
    url = server_settings.database_url.get_secret_value()
    migrate(url, SCHEMA, MIGRATIONS)
    database = Database(url)
    yield database
    await database.close()


@pytest.fixture
def jobs(database: Database) -> TrainingJobs:
    return TrainingJobs(database, watch_interval_seconds=0.05)


@pytest.fixture
async def leases(database: Database) -> Leases:
    """Leases on an empty queue."""
    leases = Leases(database, lease_seconds=30, max_attempts=2)
    while (lease := await leases.claim()) is not None:
        await leases.confirm_cancelled(lease)
    return leases


@pytest.fixture
def project() -> str:
    return f"project-{next(_projects)}"


@pytest.fixture
def snapshot_of() -> Callable[[str], TrainableSnapshot]:
    return lambda project: TrainableSnapshot(f"projects/{project}/snapshots/1", "snapshots/key.jsonl", "0" * 64)


@pytest.fixture(scope="session")
def neighbours(server_settings: Settings) -> Iterator[Neighbours]:
    neighbours = Neighbours()  # type: ignore[abstract]  # what training never calls answers UNIMPLEMENTED
    neighbours.start(server_settings)
    yield neighbours
    neighbours.stop()


@pytest.fixture(scope="session")
def training_server(
    server_settings: Settings, neighbours: Neighbours, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TrainingServer]:
    server = TrainingServer(server_settings, neighbours.target, tmp_path_factory.mktemp("training") / "log.jsonl")
    server.start()
    yield server
    assert server.stop() == 0


@pytest.fixture
def client(training_server: TrainingServer, neighbours: Neighbours, server_settings: Settings) -> Iterator[Client]:
    """A client of the service; no deployments yet."""
    neighbours.deployments.clear()
    neighbours.inference_is_away = False
    assert server_settings.token is not None
    target = neighbours.target
    connection = Connection(target, training_server.target, target, server_settings.token)
    with Client(connection) as client:
        yield client


@pytest.fixture
def run(
    training_server: TrainingServer, neighbours: Neighbours, client: Client, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Result]]:
    """Runs a command of the command line."""
    # The neighbours live in this process: what they log must not stand in what the command prints.
    logger_factory = structlog.get_config()["logger_factory"]
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.__stderr__))
    monkeypatch.setenv("SIGHTSMITH_TOKEN", TOKEN)
    monkeypatch.setenv("SIGHTSMITH_TRAINING_TARGET", training_server.target)
    monkeypatch.setenv("SIGHTSMITH_LABELING_TARGET", neighbours.target)
    monkeypatch.setenv("SIGHTSMITH_INFERENCE_TARGET", neighbours.target)
    yield lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])
    structlog.configure(logger_factory=logger_factory)


@pytest.fixture(scope="session")
def objects(server_settings: Settings) -> Objects:
    return Objects(open_object_store(server_settings.object_store_url))


@pytest.fixture(scope="session")
def store(server_settings: Settings) -> Path:
    """The folder of the object store."""
    return Path(server_settings.object_store_url.removeprefix("file://"))


@pytest.fixture
def workshop(
    database: Database,
    objects: Objects,
    server_settings: Settings,
    neighbours: Neighbours,
    leases: Leases,  # empties the queue
    tmp_path: Path,
) -> Workshop:
    folder = tmp_path / "output"
    folder.mkdir()
    return Workshop(database, objects, server_settings.object_store_url, neighbours, folder)


@pytest.fixture
def new_project(neighbours: Neighbours) -> Callable[[], str]:
    """Makes a project that labeling knows; returns its id."""

    def make() -> str:
        id_ = f"models-{next(_projects)}"
        neighbours.projects.add(f"projects/{id_}")
        return id_

    return make


@pytest.fixture
def publish_model(database: Database, objects: Objects) -> Callable[..., Awaitable[str]]:
    """Writes a model of a project with exported files, by format; returns its name."""

    async def write(project: str, files: Mapping[str, bytes] | None = None, **values: Any) -> str:
        return await publish(database, objects, project, files or {"onnx": b"onnx" * 500_000}, **values)

    return write
