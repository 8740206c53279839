"""Labeling's way to the object store: what goes wrong there becomes an error that a caller understands."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from pathlib import Path

from obstore.exceptions import BaseError

from sightsmith.errors import InternalError, UnavailableError
from sightsmith.objects import Objects


class Blobs:
    """Writing and reading blobs, each under a key made from its content."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def put(self, key: str, data: bytes) -> None:
        """Writes bytes, unless they are there.

        Raises:
            UnavailableError: if the object store cannot be reached or does not take them.
        """
        with _translated(key):
            await self._objects.put_once(key, data)

    async def put_file(self, key: str, path: Path) -> None:
        """Writes a file.

        Raises:
            UnavailableError: if the object store cannot be reached or does not take it.
        """
        with _translated(key):
            await self._objects.put_file(key, path)

    async def chunks(self, key: str) -> AsyncGenerator[bytes, None]:
        """Reads bytes in chunks of at most 1 MiB.

        Raises:
            UnavailableError: if the object store cannot be reached.
            InternalError: if the bytes are gone: a row in the database says that they are there.
        """
        with _translated(key):
            async for chunk in self._objects.chunks(key):
                yield chunk


@contextmanager
def _translated(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise InternalError(f"{key} is missing in the object store", metadata={"key": key}) from error
    except (BaseError, OSError) as error:
        metadata = {"service": "object store"}
        raise UnavailableError("the object store cannot be reached; try again", metadata=metadata) from error
