"""The object store: a folder or an S3 bucket, by URL. Keys are made by us, never by a client."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, ObjectStore, S3Store

from sightsmith.errors import UnavailableError

CHUNK_BYTES = 1024 * 1024
# Stands in the place of a bucket where the object store is a folder: the formats know no other URLs than of buckets.
_NO_BUCKET = "s3://sightsmith"


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


def s3_url_of(object_store_url: str) -> str:
    """The `s3://` URL that files for others have for the object store, without a slash at its end."""
    return object_store_url.rstrip("/") if object_store_url.startswith("s3://") else _NO_BUCKET


def image_key(sha256: str) -> str:
    """Key of an image's bytes. Two levels keep folders small."""
    return f"images/{sha256[:2]}/{sha256}"


def thumbnail_key(sha256: str) -> str:
    """Key of the small picture of an image, by the SHA-256 of the image's own bytes."""
    return f"thumbnails/{sha256[:2]}/{sha256}.jpg"


def sample_key(project: str, prediction_id: str) -> str:
    """Key of the image of a sampled prediction: no other one's, so that it can be deleted when its time has come."""
    return f"samples/{project}/{prediction_id}"


class Objects:
    """Reading and writing whole objects. Every method raises UnavailableError while the store is out of reach."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def put_once(self, key: str, data: bytes) -> None:
        """Writes an object whose key is made from its content; does nothing if it is there."""
        with _reaching_the_store(), suppress(AlreadyExistsError):
            await obstore.put_async(self._store, key, data, mode="create")

    def put_once_from_thread(self, key: str, data: bytes) -> None:
        """Does what `put_once` does, for a thread that works on the data anyway: the event loop is not bothered."""
        with _reaching_the_store(), suppress(AlreadyExistsError):
            obstore.put(self._store, key, data, mode="create")

    async def put(self, key: str, data: bytes) -> None:
        """Writes an object; replaces what is there."""
        with _reaching_the_store():
            await obstore.put_async(self._store, key, data)

    async def put_file(self, key: str, path: Path) -> None:
        """Writes a file, in parts if it is large; replaces what is there."""
        with _reaching_the_store():
            await obstore.put_async(self._store, key, path)

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        """Writes an object from chunks as they come, in parts; replaces what is there.

        An error of `chunks` goes to the caller, and nothing is written then.
        """
        with _reaching_the_store():
            await obstore.put_async(self._store, key, chunks)

    async def get_file(self, key: str, path: Path) -> None:
        """Reads an object into a file.

        Raises:
            FileNotFoundError: if there is none of that key.
        """
        async with aclosing(self.chunks(key)) as chunks:
            with path.open("wb") as file:
                async for chunk in chunks:
                    await asyncio.to_thread(file.write, chunk)

    async def delete(self, key: str) -> None:
        """Deletes an object; does nothing if there is none."""
        with _reaching_the_store(), suppress(FileNotFoundError):
            await obstore.delete_async(self._store, key)

    async def get(self, key: str) -> bytes:
        """Reads an object.

        Raises:
            FileNotFoundError: if there is none of that key.
        """
        with _reaching_the_store():
            result = await obstore.get_async(self._store, key)
            return bytes(await result.bytes_async())

    async def chunks(self, key: str, offset: int = 0) -> AsyncGenerator[bytes, None]:
        """Reads an object in chunks of at most 1 MiB.

        Args:
            key: of the object.
            offset: how many bytes to leave out at the beginning; fewer than the object has.

        Raises:
            FileNotFoundError: if there is none of that key.
        """
        with _reaching_the_store():
            # Not with the range 0-: no object of no bytes has it.
            result = await obstore.get_async(self._store, key, options={"range": {"offset": offset}} if offset else {})
            async for part in result.stream(min_chunk_size=CHUNK_BYTES):
                data = bytes(part)
                for begin in range(0, len(data), CHUNK_BYTES):
                    yield data[begin : begin + CHUNK_BYTES]

    async def keys(self, prefix: str) -> list[str]:
        """The keys of the objects directly under `prefix/`, ordered: for folders of few objects."""
        with _reaching_the_store():
            listed = await obstore.list_with_delimiter_async(self._store, prefix)
            return sorted(item["path"] for item in listed["objects"])

    async def keys_below(self, prefix: str) -> list[str]:
        """The keys of all objects below `prefix/`, however deep."""
        with _reaching_the_store():
            return [item["path"] async for objects in obstore.list(self._store, f"{prefix}/") for item in objects]

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
