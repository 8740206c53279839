"""The training schema in a real PostgreSQL."""

import itertools
from collections.abc import AsyncIterator, Callable

import pytest

from sightsmith.database import Database, migrate
from sightsmith.settings import Settings
from sightsmith_training.jobs import TrainingJobs
from sightsmith_training.leases import Leases
from sightsmith_training.snapshots import TrainableSnapshot
from sightsmith_training.tables import MIGRATIONS, SCHEMA

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
