"""Reading the images of a shard, from our own object store or from the places that the operator allows."""

import asyncio
from collections.abc import Sequence

import obstore
from obstore.exceptions import BaseError, InvalidPathError, PermissionDeniedError, UnauthenticatedError

from sightsmith.errors import (
    InvalidArgumentError,
    NotFoundError,
    SightsmithError,
    UnavailableError,
)
from sightsmith.objects import Objects
from sightsmith.places import AllowedPlaces, Place, PlacesOf, store_of
from sightsmith_inference.batches.sources import Item

_TRIES = 3
_PAUSE_SECONDS = 0.5


class Fetcher:
    """Reads images."""

    def __init__(self, objects: Objects, places_of: PlacesOf, max_bytes: int, seconds: float) -> None:
        """Prepares everything; nothing is read yet.

        Args:
            objects: where stored images are.
            places_of: gives the places from which images of a project, by its id, may be read.
            max_bytes: of an image.
            seconds: how long the reading of one may take.
        """
        self._objects = objects
        self._places_of = places_of
        self._max_bytes = max_bytes
        self._seconds = seconds

    async def fetch(self, project: str, items: Sequence[Item]) -> list[bytes | SightsmithError]:
        """Reads images for a project beside each other: their bytes, or why there are none.

        Raises:
            UnavailableError: if nothing could be reached: then it is the store that is away, and not an image.
        """
        places = self._places_of(project)
        read = await asyncio.gather(*(self._fetch(places, item) for item in items))
        unreached = [one for one in read if isinstance(one, UnavailableError)]
        if unreached and len(unreached) == len(items):
            raise unreached[0]
        return read

    async def _fetch(self, places: AllowedPlaces, item: Item) -> bytes | SightsmithError:
        for attempt in range(_TRIES):
            try:
                async with asyncio.timeout(self._seconds):
                    return await self._read(places, item)
            except TimeoutError:
                problem: SightsmithError = UnavailableError(f"reading {item.source} took over {self._seconds:g} s")
            except UnavailableError as error:
                problem = error
            except SightsmithError as error:
                return error
            await asyncio.sleep(_PAUSE_SECONDS * 2**attempt)
        return problem

    async def _read(self, places: AllowedPlaces, item: Item) -> bytes:
        if item.problem:
            raise InvalidArgumentError.of_field("source", item.problem)
        try:
            if item.key:
                return await self._objects.get(item.key)
            # Asked for each image: a link inside an allowed folder must not lead out of it.
            return await self._read_place(places.find(item.source))
        except FileNotFoundError:
            raise NotFoundError(item.source) from None
        except (PermissionDeniedError, UnauthenticatedError, PermissionError):
            raise InvalidArgumentError.of_field("source", f"this server may not read {item.source}") from None
        except (InvalidPathError, ValueError) as error:
            raise InvalidArgumentError.of_field("source", str(error)) from None
        except (BaseError, OSError) as error:
            metadata = {"service": "object store"}
            problem = f"{item.source} cannot be read now: {type(error).__name__}"
            raise UnavailableError(problem, metadata=metadata) from error

    async def _read_place(self, place: Place) -> bytes:
        """The bytes of an image, cut off after the largest size that is taken: the decoder says so then."""
        found = await obstore.get_async(store_of(place.scheme, place.bucket), place.key)
        data = bytearray()
        async for part in found.stream():
            data += part
            if len(data) > self._max_bytes:
                break
        return bytes(data)
