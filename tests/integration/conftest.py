"""PostgreSQL and NATS, started once for all integration tests that need no more."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from sightsmith.settings import Settings
from sightsmith.stack import Endpoints, Stack, StackSettings

TOKEN = "a token for tests"


@pytest.fixture(scope="session")
def servers() -> Iterator[Endpoints]:
    # Not a folder of pytest's own: PostgreSQL's system user could not reach it.
    folder = Path(tempfile.mkdtemp(prefix="sightsmith-tests-"))
    try:
        with Stack(StackSettings(data_dir=folder, free_ports=True), parts=["postgres", "nats"]) as stack:
            yield stack.endpoints
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server_settings(servers: Endpoints) -> Settings:
    """Settings that point at the servers."""
    assert servers.nats_token_file is not None
    return Settings(
        token=SecretStr(TOKEN),
        database_url=SecretStr(servers.database_url),
        nats_url=servers.nats_url,
        nats_token=SecretStr(servers.nats_token_file.read_text().strip()),
        object_store_url=servers.object_store_url,
    )
