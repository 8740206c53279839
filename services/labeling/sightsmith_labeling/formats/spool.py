"""A database in a file, for joining what a format has apart, whatever the order and the size."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_BATCH = 2000


@contextmanager
def spool(scratch: Path, schema: str) -> Iterator[sqlite3.Connection]:
    """An empty database in the scratch folder, gone at the end.

    Args:
        scratch: a folder of the caller's.
        schema: its tables.
    """
    path = scratch / "spool.sqlite"
    # A job may go on reading in another thread, but never in two at a time.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        # Nothing has to outlive a crash: what it was made from is read again.
        connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + schema)
        yield connection
    finally:
        connection.close()
        path.unlink(missing_ok=True)


class Table:
    """Inserts rows in batches.

    Attributes:
        count: of the rows so far.
    """

    def __init__(self, database: sqlite3.Connection, insert: str) -> None:
        self._database = database
        self._insert = insert
        self._rows: list[tuple[Any, ...]] = []
        self.count = 0

    def add(self, *row: Any) -> None:
        """Adds a row, which is in the database after `flush`."""
        self._rows.append(row)
        self.count += 1
        if len(self._rows) == _BATCH:
            self.flush()

    def flush(self) -> None:
        """Writes the rows that are still held."""
        self._database.execute("BEGIN")
        self._database.executemany(self._insert, self._rows)
        self._database.execute("COMMIT")
        self._rows.clear()
