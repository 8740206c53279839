"""The migrations make exactly the tables that the code believes in."""

import pytest

from sightsmith.settings import Settings
from sightsmith_training.tables import Base
from tests.integration.migrations import differences


@pytest.mark.usefixtures("database")
def test_migrations_and_tables_agree(server_settings: Settings) -> None:
    assert differences(server_settings.database_url.get_secret_value(), Base.metadata) == []
