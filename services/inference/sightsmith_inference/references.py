"""Images that clients name and do not send: of their project's datasets, and from places that the operator allows."""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import obstore
from google.rpc import code_pb2
from grpc import aio
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import ObjectStore

from sightsmith.api.labeling.v1 import labeling_service_pb2 as pb
from sightsmith.api.labeling.v1.labeling_service_pb2_grpc import LabelingServiceStub
from sightsmith.errors import InvalidArgumentError, NotFoundError, SightsmithError, UnavailableError
from sightsmith.objects import Objects, image_key
from sightsmith.places import PlacesOf, store_of
from sightsmith.rpc.channel import error_of
from sightsmith_inference.errors import dependency_unavailable

_SHA256 = re.compile(r"[0-9a-f]{64}")
_ASK_SECONDS = 10.0
_MOST_ASKED = 1000
_LONGEST_URL = 2048
# Images that are known to be of a project; they seldom leave it, and asking again costs two calls.
_REMEMBERED = 10_000


@dataclass(frozen=True)
class ImageReference:
    """Where an image is. One of the two is set.

    Attributes:
        sha256: of an image of the project's datasets.
        url: below an allowed place.
    """

    sha256: str = ""
    url: str = ""


@dataclass(frozen=True)
class FoundImage:
    """An image that is there and that its caller may see.

    Attributes:
        size: of its encoded bytes.
        read: reads them; raises NotFoundError if it has vanished, UnavailableError while its store is out of reach.
    """

    size: int
    read: Callable[[], Awaitable[bytes]]


class References:
    """Finds the images that clients name."""

    def __init__(
        self,
        objects: Objects,
        labeling: aio.Channel,
        places_of: PlacesOf,
        max_image_bytes: int,
    ) -> None:
        """Prepares the finding.

        Args:
            objects: the store that holds the images of the datasets.
            labeling: to the service that knows which image is whose.
            places_of: from which places the images of a project, by its id, may be read.
            max_image_bytes: how large one may be.
        """
        self._objects = objects
        self._labeling = LabelingServiceStub(labeling)
        self._places_of = places_of
        self._max_image_bytes = max_image_bytes
        self._sizes: OrderedDict[tuple[str, str], int] = OrderedDict()

    async def find(
        self, project: str, named: Sequence[tuple[ImageReference, str]]
    ) -> Sequence[FoundImage | SightsmithError]:
        """Finds images.

        Args:
            project: id of the project whose deployment is asked: what is not its own is not there.
            named: the references, each with the field that errors name it by.

        Returns:
            For each the image, or why it cannot be had.

        Raises:
            UnavailableError: if labeling or a store is out of reach.
        """
        sizes = await self._sizes_of(project, [reference.sha256 for reference, _ in named if reference.sha256])
        return [
            self._of_dataset(reference.sha256, field, sizes)
            if reference.sha256
            else await self._at(project, reference.url, field)
            for reference, field in named
        ]

    def _of_dataset(self, sha256: str, field: str, sizes: Mapping[str, int]) -> FoundImage | SightsmithError:
        if _SHA256.fullmatch(sha256) is None:
            return InvalidArgumentError.of_field(f"{field}.sha256", "must be 64 lower-case hexadecimal digits")
        if sha256 not in sizes:
            return NotFoundError(f"the image {sha256}")
        return self._checked(sizes[sha256], field, partial(self._read_own, sha256))

    async def _read_own(self, sha256: str) -> bytes:
        try:
            return await self._objects.get(image_key(sha256))
        except FileNotFoundError:
            raise NotFoundError(f"the image {sha256}") from None

    async def _sizes_of(self, project: str, sha256s: Sequence[str]) -> Mapping[str, int]:
        """Of those of these images that are in a dataset of the project, their encoded bytes."""
        wanted = {sha256 for sha256 in sha256s if _SHA256.fullmatch(sha256)}
        known = {sha256: size for sha256 in wanted if (size := self._sizes.get((project, sha256))) is not None}
        if unknown := wanted - known.keys():
            asked = sorted(unknown)
            for begin in range(0, len(asked), _MOST_ASKED):
                found = await self._ask_labeling(project, asked[begin : begin + _MOST_ASKED])
                known |= found
                self._remember(project, found)
        return known

    def _remember(self, project: str, sizes: Mapping[str, int]) -> None:
        self._sizes.update({(project, sha256): size for sha256, size in sizes.items()})
        while len(self._sizes) > _REMEMBERED:
            self._sizes.popitem(last=False)

    async def _ask_labeling(self, project: str, sha256s: Sequence[str]) -> Mapping[str, int]:
        wanted = pb.ImageFilter(sha256s=sha256s)
        try:
            datasets = await self._labeling.ListDatasets(
                pb.ListDatasetsRequest(parent=f"projects/{project}"), timeout=_ASK_SECONDS
            )
            pages = [
                await self._labeling.ListImages(
                    pb.ListImagesRequest(parent=dataset.name, filter=wanted, page_size=len(sha256s)),
                    timeout=_ASK_SECONDS,
                )
                for dataset in datasets.datasets
            ]
        except aio.AioRpcError as call_error:
            error = error_of(call_error)
            if error.code == code_pb2.NOT_FOUND:
                return {}
            raise dependency_unavailable("labeling", error.message) from call_error
        return {image.sha256: image.size_bytes for page in pages for image in page.images}

    async def _at(self, project: str, url: str, field: str) -> FoundImage | SightsmithError:
        field = f"{field}.url"
        if len(url) > _LONGEST_URL:
            return InvalidArgumentError.of_field(field, f"must have at most {_LONGEST_URL} characters, not {len(url)}")
        try:
            # Looks at links of this machine's folders.
            place = await asyncio.to_thread(self._places_of(project).check, field, url)
            if place.is_folder:
                return InvalidArgumentError.of_field(field, f"must name a file, not {url!r}")
            store = store_of(place.scheme, place.bucket)
            with _reading(url):
                async with asyncio.timeout(_ASK_SECONDS):
                    size: int = (await obstore.head_async(store, place.key))["size"]
        except (InvalidArgumentError, NotFoundError) as error:
            return error
        return self._checked(size, field, partial(_read, store, place.key, url, size))

    def _checked(
        self, size: int, field: str, read: Callable[[], Awaitable[bytes]]
    ) -> FoundImage | InvalidArgumentError:
        if size <= self._max_image_bytes:
            return FoundImage(size, read)
        rule = f"the image has {size} bytes, more than the {self._max_image_bytes} allowed"
        return InvalidArgumentError.of_field(field, rule, "IMAGE_TOO_LARGE")


async def _read(store: ObjectStore, key: str, url: str, size: int) -> bytes:
    """Reads no more than was seen before, though the object may have been replaced by a larger one."""
    with _reading(url):
        return bytes(await obstore.get_range_async(store, key, start=0, end=size)) if size else b""


@contextmanager
def _reading(url: str) -> Iterator[None]:
    """Turns what a store raises into errors that tell of the URL and nothing more."""
    try:
        yield
    except (FileNotFoundError, PermissionError, IsADirectoryError, PermissionDeniedError, UnauthenticatedError):
        raise NotFoundError(f"the image {url}") from None
    except (BaseError, OSError) as error:
        metadata = {"service": "object store"}
        raise UnavailableError(f"{url} cannot be read now; try again", metadata=metadata) from error
