"""The migrations make exactly the tables that the code believes in."""

from sightsmith.database import migrate
from sightsmith.settings import Settings
from sightsmith_inference.batches import tables as batch_tables
from sightsmith_inference.tables import MIGRATIONS, SCHEMA, Base
from tests.integration.migrations import differences


def test_migrations_and_tables_agree(server_settings: Settings) -> None:
    url = server_settings.database_url.get_secret_value()
    migrate(url, SCHEMA, MIGRATIONS)
    assert batch_tables.BatchJobRow.metadata is Base.metadata
    assert differences(url, Base.metadata) == []
