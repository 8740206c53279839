"""Compares a migrated database with the tables that the code believes in."""

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, create_engine


def differences(url: str, metadata: MetaData) -> list[Any]:
    """What a migration would still have to change in the schema of `metadata`."""

    def is_ours(name: str | None, kind: str, _parents: object) -> bool:
        return name == metadata.schema if kind == "schema" else name != "alembic_version"

    with create_engine(url).connect() as connection:
        options = {"include_schemas": True, "include_name": is_ours, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, metadata))
