"""A labeling process on real servers, started once a run."""

import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

import psycopg
import pytest
from sqlalchemy.engine import make_url

from sightsmith.stack import Endpoints
from tests.integration.conftest import TOKEN

from .command_line import Run
from .command_line import run as run_command
from .labeling_client import LabelingClient
from .labeling_process import LabelingProcess, WorkerProcess


@pytest.fixture(scope="session")
def environment(servers: Endpoints) -> Mapping[str, str]:
    assert servers.nats_token_file is not None
    return {
        "SIGHTSMITH_TOKEN": TOKEN,
        "SIGHTSMITH_DATABASE_URL": servers.database_url,
        "SIGHTSMITH_NATS_URL": servers.nats_url,
        "SIGHTSMITH_NATS_TOKEN": servers.nats_token_file.read_text().strip(),
        "SIGHTSMITH_OBJECT_STORE_URL": servers.object_store_url,
        # Small, so that the tests that pass them are quick.
        "SIGHTSMITH_MAX_IMAGE_BYTES": "3000000",
        "SIGHTSMITH_MAX_IMAGE_PIXELS": "10000000",
        "SIGHTSMITH_MAX_MESSAGE_BYTES": "2000000",
    }


MakeProcess = Callable[[Mapping[str, str]], LabelingProcess]


@pytest.fixture(scope="session")
def make_process(environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeProcess]:
    """Makes labeling processes that differ from the shared one in some settings, and are not started yet."""
    made: list[LabelingProcess] = []

    def make(changes: Mapping[str, str]) -> LabelingProcess:
        log = tmp_path_factory.mktemp("labeling") / "log.jsonl"
        made.append(LabelingProcess({**environment, **changes}, log))
        return made[-1]

    yield make
    for process in made:
        if process.is_running:
            assert process.stop() == 0


@pytest.fixture(scope="session")
def labeling(make_process: MakeProcess) -> LabelingProcess:
    process = make_process({})
    process.start()
    return process


MakeWorker = Callable[[Mapping[str, str]], WorkerProcess]


@pytest.fixture(scope="session")
def make_worker(environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeWorker]:
    """Makes labeling workers that differ from the shared one in some settings, and are not started yet."""
    made: list[WorkerProcess] = []

    def make(changes: Mapping[str, str]) -> WorkerProcess:
        folder = tmp_path_factory.mktemp("labeling-worker")
        quick = {"SIGHTSMITH_JOB_POLL_SECONDS": "0.1", "SIGHTSMITH_JOB_HEARTBEAT_SECONDS": "0.2"}
        own = {**environment, **quick, "SIGHTSMITH_WORK_DIR": str(folder / "work"), **changes}
        made.append(WorkerProcess(own, folder / "log.jsonl"))
        return made[-1]

    yield make
    for process in made:
        if process.is_running:
            assert process.stop() == 0


@pytest.fixture(scope="session")
def worker(labeling: LabelingProcess, make_worker: MakeWorker) -> WorkerProcess:
    """The labeling worker that does the jobs of most tests."""
    process = make_worker({})
    process.start()
    return process


@pytest.fixture(scope="module")
def no_shared_worker(worker: WorkerProcess) -> Iterator[None]:
    """Leaves the jobs of a module to workers of its own."""
    assert worker.stop() == 0
    yield
    worker.start()


@pytest.fixture(scope="session")
async def client(labeling: LabelingProcess) -> AsyncIterator[LabelingClient]:
    client = LabelingClient(labeling.target, TOKEN)
    async with client.channel:
        yield client


@pytest.fixture
def empty_database(servers: Endpoints) -> str:
    """A database of its own."""
    return make_database(servers)


def make_database(servers: Endpoints) -> str:
    """Makes an empty database beside the shared one; returns its URL."""
    url, name = make_url(servers.database_url), f"test_{uuid.uuid4().hex[:8]}"
    socket = str(url.query["host"])
    with psycopg.connect(host=socket, user="postgres", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} OWNER {url.username}".encode())
    # Only a superuser may add an extension.
    with psycopg.connect(host=socket, user="postgres", dbname=name, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")
    return url.set(database=name).render_as_string(hide_password=False)


@pytest.fixture
async def dataset(client: LabelingClient) -> str:
    """A new training dataset in a new project."""
    return await client.new_dataset()


@pytest.fixture
async def project(dataset: str) -> str:
    """The project of `dataset`."""
    return dataset.partition("/datasets/")[0]


@pytest.fixture
def run(labeling: LabelingProcess, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command of the command line."""
    monkeypatch.setenv("SIGHTSMITH_TOKEN", TOKEN)
    monkeypatch.setenv("SIGHTSMITH_ACTOR", "Ada")
    for service in ("LABELING", "TRAINING", "INFERENCE"):
        monkeypatch.setenv(f"SIGHTSMITH_{service}_TARGET", labeling.target)
    return run_command
