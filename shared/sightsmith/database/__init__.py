"""PostgreSQL as every service here uses it: a schema each, short transactions, migrations at start."""

from sightsmith.database.connection import Database, Transactions, Within
from sightsmith.database.migrations import migrate
from sightsmith.database.tables import TableBase, schema_metadata, utc_now

__all__ = ["Database", "TableBase", "Transactions", "Within", "migrate", "schema_metadata", "utc_now"]
