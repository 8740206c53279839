"""The object store: a folder or an S3 bucket, by URL. Keys are made by us, never by a client."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, S3Store

from sightsmith.errors import UnavailableError

CHUNK_BYTES = 1024 * 1024


def open_object_store(url: str) -> ObjectStore:
    """Opens a store.

    Args:
        url: `file:///folder` (made if missing), or `s3://bucket/prefix` with the credentials that the AWS tools read
            from the environment (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`, …).

    Raises:
        ValueError: if the URL is of another kind.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        return LocalStore(Path(unquote(parts.path)), mkdir=True, automatic_cleanup=False)
    if parts.scheme == "s3":
        return S3Store.from_url(url)
    raise ValueError(f"the object store's URL must begin with file:// or s3://, not {parts.scheme}://")


def image_key(sha256: str) -> str:
    """Key of an image's bytes. Two levels keep folders small."""
    return f"images/{sha256[:2]}/{sha256}"


class Objects:
    """Reading and writing whole objects. Every method raises UnavailableError while the store is out of reach."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def put_once(self, key: str, data: bytes) -> None:
        """Writes an object whose key is made from its content; does nothing if it is there.

        Two writers at once write the same bytes, so no lock is needed.
        """
        with _reaching_the_store():
            try:
                await obstore.head_async(self._store, key)
            except FileNotFoundError:
                await obstore.put_async(self._store, key, data)

    async def put(self, key: str, data: bytes) -> None:
        """Writes an object; replaces what is there."""
        with _reaching_the_store():
            await obstore.put_async(self._store, key, data)

    async def put_file(self, key: str, path: Path) -> None:
        """Writes a file, in parts if it is large; replaces what is there."""
        with _reaching_the_store():
            await obstore.put_async(self._store, key, path)

    async def get(self, key: str) -> bytes:
        """Reads an object.

        Raises:
            FileNotFoundError: if there is none of that key.
        """
        with _reaching_the_store():
            result = await obstore.get_async(self._store, key)
            return bytes(await result.bytes_async())

    async def chunks(self, key: str) -> AsyncGenerator[bytes, None]:
        """Reads an object in chunks of at most 1 MiB.

        Raises:
            FileNotFoundError: if there is none of that key.
        """
        with _reaching_the_store():
            result = await obstore.get_async(self._store, key)
            async for part in result.stream(min_chunk_size=CHUNK_BYTES):
                data = bytes(part)
                for begin in range(0, len(data), CHUNK_BYTES):
                    yield data[begin : begin + CHUNK_BYTES]

    async def delete_prefix(self, prefix: str) -> None:
        """Deletes every object whose key begins with `prefix/`."""
        with _reaching_the_store():
            async for objects in obstore.list(self._store, f"{prefix}/"):
                await obstore.delete_async(self._store, [item["path"] for item in objects])


@contextmanager
def _reaching_the_store() -> Iterator[None]:
    """Turns the store's own errors into one that says to try again; a missing object stays a FileNotFoundError."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as error:
        metadata = {"service": "object store"}
        raise UnavailableError("the object store cannot be reached; try again", metadata=metadata) from error
