"""What a job answers for: images of a place, of a file that names them, of a dataset or of a snapshot, page by page."""

import asyncio
import math
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import grpc
import msgspec
import obstore
from grpc import aio
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

from sightsmith.api.labeling.v1 import (
    image_pb2,
    labeling_service_pb2,
    labeling_service_pb2_grpc,
    snapshot_service_pb2,
    snapshot_service_pb2_grpc,
)
from sightsmith.errors import FailedPreconditionError, ResourceExhaustedError, UnavailableError
from sightsmith.objects import Objects, image_key
from sightsmith.output_places import url_of
from sightsmith.places import Place, PlacesOf, store_of
from sightsmith.rpc.channel import error_of
from sightsmith_inference.batches.job import BatchRequest
from sightsmith_inference.batches.settings import BatchSettings

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
_PAGE = 1000
_TIMEOUT_SECONDS = 30.0
_FORBIDDEN = (PermissionDeniedError, UnauthenticatedError, PermissionError)


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """An image of a job.

    Attributes:
        source: its URL or, of a stored image, what the client called it.
        key: of its bytes in the object store; empty if they are at its URL.
        image: name of the image resource; empty if it is none.
        problem: why it cannot be looked at; empty if it may be tried.
    """

    source: str
    key: str = ""
    image: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Page:
    """Some images of a source, in order, and how many files there were beside them that are none."""

    items: Sequence[Item]
    skipped: int = 0


class Sources:
    """Reads what jobs answer for. Nothing is ever held as a whole, so that a source may have any size."""

    def __init__(self, settings: BatchSettings, places_of: PlacesOf, objects: Objects, labeling: aio.Channel) -> None:
        """Prepares everything; nothing is asked yet.

        Args:
            settings: the limits.
            places_of: gives the places from which images of a project, by its id, may be read.
            objects: where snapshots are.
            labeling: a channel to the service that knows datasets and snapshots.
        """
        self._settings = settings
        self._places_of = places_of
        self._objects = objects
        self._datasets = labeling_service_pb2_grpc.LabelingServiceStub(labeling)
        self._snapshots = snapshot_service_pb2_grpc.SnapshotServiceStub(labeling)

    def pages(self, request: BatchRequest) -> AsyncIterator[Page]:
        """The images of a job, always in the same order.

        Raises:
            FailedPreconditionError: with the reason SOURCE_UNREADABLE, if the source is not there or may not be read.
            InvalidArgumentError: if the operator does not allow the place any more.
            ResourceExhaustedError: if a file is too large.
            UnavailableError: if the store cannot be reached. Errors of labeling come through as they are.
        """
        if request.dataset:
            return self._of_dataset(request.dataset)
        if request.snapshot:
            return self._of_snapshot(request.snapshot)
        places = self._places_of(request.project)
        if request.manifest_url:
            return self._of_manifest(places.check("batch_prediction_job.manifest_url", request.manifest_url))
        if request.image_urls:
            return _of_list(request.image_urls)
        place = places.check("batch_prediction_job.url", request.url)
        return _of_folder(place) if place.is_folder else _of_list([request.url])

    async def _of_dataset(self, dataset: str) -> AsyncIterator[Page]:
        ready = labeling_service_pb2.ImageFilter(states=[image_pb2.Image.STATE_READY])
        token = ""
        while True:
            request = labeling_service_pb2.ListImagesRequest(
                parent=dataset, page_size=_PAGE, page_token=token, filter=ready
            )
            try:
                page = await self._datasets.ListImages(request, timeout=_TIMEOUT_SECONDS)
            except grpc.RpcError as error:
                raise error_of(error) from error
            yield Page([Item(image.source, image_key(image.sha256), image.name) for image in page.images])
            token = page.next_page_token
            if not token:
                return

    async def _of_snapshot(self, snapshot: str) -> AsyncIterator[Page]:
        try:
            request = snapshot_service_pb2.GetSnapshotRequest(name=snapshot)
            found = await self._snapshots.GetSnapshot(request, timeout=_TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            raise error_of(error) from error
        try:
            async for lines in _lines(self._objects.chunks(found.manifest_key), math.inf):
                entries = (msgspec.json.decode(line, type=_SnapshotLine) for line in lines if line)
                yield Page([Item(entry.source, entry.key, entry.image) for entry in entries])
        except FileNotFoundError:
            raise _unreadable(snapshot, "its manifest is not in the object store") from None

    async def _of_manifest(self, place: Place) -> AsyncIterator[Page]:
        folder = Place(place.scheme, place.bucket, place.key.rpartition("/")[0] + "/")
        number = 0
        async for lines in _lines(self._bytes_of(place), self._settings.max_batch_manifest_line_bytes):
            numbered = [(number + offset, line.strip()) for offset, line in enumerate(lines, 1)]
            number += len(lines)
            yield Page([_named(line, f"{place}:{at}", folder) for at, line in numbered if line])

    async def _bytes_of(self, place: Place) -> AsyncIterator[bytes]:
        limit = self._settings.max_batch_manifest_bytes
        try:
            found = await obstore.get_async(store_of(place.scheme, place.bucket), place.key)
            if found.meta["size"] > limit:
                raise _too_large(f"{place} has {found.meta['size']} bytes", limit)
            async for part in found.stream():
                yield bytes(part)
        except (BaseError, OSError) as error:
            raise _reading_failed(place, error) from error


class _SnapshotLine(msgspec.Struct):
    image: str
    key: str
    source: str = ""


class _ManifestLine(msgspec.Struct):
    source: str = msgspec.field(name="source-ref")


def _named(line: bytes, place: str, folder: Place) -> Item:
    """The image that a line names: by its URL, or by a path from the folder of the file."""
    try:
        source = msgspec.json.decode(line, type=_ManifestLine).source if line.startswith(b"{") else line.decode()
        return Item(source if "://" in source else url_of(folder, source))
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        return Item(place, problem=f"the line is neither a URL nor an object with a source-ref: {error}")


async def _of_list(urls: Sequence[str]) -> AsyncIterator[Page]:
    yield Page([Item(url) for url in urls])


async def _of_folder(place: Place) -> AsyncIterator[Page]:
    try:
        if place.scheme == "file":
            walk = _walk(Path("/") / place.key)
            while files := await asyncio.to_thread(lambda: [*_up_to(_PAGE, walk)]):
                yield _page_of(path.as_uri() for path in files)
            return
        async for objects in obstore.list(store_of(place.scheme, place.bucket), place.key or None, chunk_size=_PAGE):
            yield _page_of(str(Place(place.scheme, place.bucket, item["path"])) for item in objects)
    except (BaseError, OSError) as error:
        raise _reading_failed(place, error) from error


def _page_of(urls: Iterator[str]) -> Page:
    found = [*urls]
    items = [Item(url) for url in found if PurePosixPath(url).suffix.lower() in IMAGE_SUFFIXES]
    return Page(items, len(found) - len(items))


def _walk(folder: Path) -> Iterator[Path]:
    """The files below a folder, ordered. Links to folders are not followed: they may lead out of what is allowed."""

    def fail(error: OSError) -> None:
        raise error

    for path, folders, files in os.walk(folder, onerror=fail):
        folders.sort()
        yield from (Path(path) / name for name in sorted(files))


def _up_to(count: int, paths: Iterator[Path]) -> Iterator[Path]:
    return (path for path, _ in zip(paths, range(count), strict=False))


async def _lines(chunks: AsyncIterator[bytes], longest: float) -> AsyncIterator[Sequence[bytes]]:
    """The lines of a file, as they come.

    Raises:
        ResourceExhaustedError: if one is too long.
    """
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if max(map(len, (*lines, rest))) > longest:
            raise _too_large("a line is longer than is allowed", longest)
        yield lines
    yield [rest]


def _reading_failed(place: Place, error: Exception) -> FailedPreconditionError | UnavailableError:
    if isinstance(error, FileNotFoundError):
        return _unreadable(str(place), "it does not exist")
    if isinstance(error, _FORBIDDEN):
        return _unreadable(str(place), "this server may not")
    if place.scheme == "file":
        return _unreadable(str(place), str(error))
    # The store's own words are many, and about its insides.
    metadata = {"service": "object store"}
    return UnavailableError(f"{place} cannot be read now: {type(error).__name__}", metadata=metadata)


def _unreadable(source: str, problem: str) -> FailedPreconditionError:
    return FailedPreconditionError(
        f"{source} cannot be read: {problem}", reason="SOURCE_UNREADABLE", metadata={"source": source}
    )


def _too_large(problem: str, limit: float) -> ResourceExhaustedError:
    return ResourceExhaustedError(f"{problem}, {limit} at most", metadata={"limit": str(limit)})
