"""Brings a service's schema up to date when the service starts."""

import time
import zlib
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from sightsmith.database.connection import connect_arguments
from sightsmith.logs import get_logger

_log = get_logger(__name__)


def migrate(url: str, schema: str, versions: Path, wait_seconds: float = 60.0) -> None:
    """Creates the schema if need be and runs the migrations that are missing.

    Replicas that start at the same time wait for each other on an advisory lock.

    Args:
        url: SQLAlchemy URL of the database.
        schema: the schema that the service owns; Alembic's own table lives in it too.
        versions: folder of the service's migration files.
        wait_seconds: how long to wait for a database that is not up yet.

    Raises:
        OperationalError: if the database cannot be reached in that time.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "alembic").replace("%", "%%"))
    config.set_main_option("version_locations", str(versions).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    engine = create_engine(url, poolclass=NullPool, connect_args=connect_arguments(url))
    _wait_for_database(url, wait_seconds)
    with engine.connect() as connection:
        # Held by the session, not by a transaction, so that migrations can commit inside it.
        key = zlib.crc32(f"sightsmith.{schema}".encode())
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})
        try:
            connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
            connection.commit()
            config.attributes.update(connection=connection, schema=schema)
            command.upgrade(config, "head")
            connection.commit()
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})
    _log.info("database schema is up to date", schema=schema)


def _wait_for_database(url: str, wait_seconds: float) -> None:
    engine = create_engine(url, poolclass=NullPool, connect_args=connect_arguments(url))
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            with engine.connect():
                return
        except OperationalError:
            if time.monotonic() > deadline:
                raise
            _log.info("waiting for the database")
            time.sleep(0.5)
