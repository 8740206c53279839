"""How many images may be in hand at once, so that memory stays bounded however many are sent."""

import asyncio
import time

from prometheus_client import Gauge

from sightsmith.errors import ResourceExhaustedError

_images_in_flight = Gauge(
    "sightsmith_inference_images_in_flight", "Images that were accepted and are not answered yet."
)
_bytes_in_flight = Gauge("sightsmith_inference_bytes_in_flight", "Encoded bytes of the images that are in flight.")

# Who can wait gets in while less than this share is taken: the rest is for those who would be refused.
_PATIENT_SHARE = 0.5
# How much the latest stay counts in the average of them.
_LATEST = 0.1
_SHORTEST_RETRY_SECONDS, _LONGEST_RETRY_SECONDS = 0.05, 10.0


class Held:
    """Room that images take up until it is released, or the block ends."""

    def __init__(self, room: "Room", images: int, size: int) -> None:
        self._room = room
        self._images, self._size = images, size
        self._since = time.monotonic()
        self._is_released = False

    def release(self) -> None:
        """Gives the room back; does nothing the second time."""
        if not self._is_released:
            self._is_released = True
            self._room.give_back(self._images, self._size, time.monotonic() - self._since)

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        self.release()


class Room:
    """Bounds the images that are in hand, by their number and by their encoded bytes."""

    def __init__(self, max_images: int, max_bytes: int) -> None:
        """Makes it empty.

        Args:
            max_images: how many images may wait, be decoded or be with the inference server in all.
            max_bytes: how many encoded bytes they may have in all; one image must not have more than half of it.
        """
        self._max_images, self._max_bytes = max_images, max_bytes
        self._images = self._size = 0
        self._seconds = _SHORTEST_RETRY_SECONDS
        self._turn = asyncio.Lock()
        self._given_back = asyncio.Event()

    @property
    def images(self) -> int:
        """How many images are in hand."""
        return self._images

    def take(self, images: int, size: int) -> Held:
        """Takes room for images until they are answered.

        Args:
            images: how many.
            size: their encoded bytes in all.

        Raises:
            ResourceExhaustedError: if there is none, which at once is kinder than an answer that comes too late; with
                the reason TOO_LARGE if there never will be.
        """
        if images > self._max_images or size > self._max_bytes:
            limit = f"{self._max_images} images of {self._max_bytes} bytes"
            raise ResourceExhaustedError(
                f"{images} images of {size} bytes are too much at once; at most {limit} in all are allowed",
                metadata={"limit": str(self._max_images), "limit_bytes": str(self._max_bytes)},
            )
        if not self._fits(images, size):
            raise ResourceExhaustedError(
                f"{self._images} images of {self._size} bytes are being worked on, and {images} more of {size} bytes "
                "are too many; try again later",
                reason="OVERLOADED",
                metadata={"limit": str(self._max_images), "limit_bytes": str(self._max_bytes)},
                # As long as images stay on the average: by then, most of those that are in the way are answered.
                retry_seconds=min(max(self._seconds, _SHORTEST_RETRY_SECONDS), _LONGEST_RETRY_SECONDS),
            )
        return self._take(images, size)

    async def take_patiently(self, size: int) -> Held:
        """Takes room for an image of so many bytes as soon as there is plenty; who came first gets it first."""
        async with self._turn:
            while not self._fits(1, size, _PATIENT_SHARE):
                self._given_back.clear()
                await self._given_back.wait()
            return self._take(1, size)

    def give_back(self, images: int, size: int, seconds: float) -> None:
        """Takes room back that was held for so many seconds; called by `Held`."""
        self._add(-images, -size)
        self._seconds += _LATEST * (seconds - self._seconds)
        self._given_back.set()

    def _fits(self, images: int, size: int, share: float = 1.0) -> bool:
        fits_images = self._images + images <= max(int(share * self._max_images), 1)
        return fits_images and self._size + size <= share * self._max_bytes

    def _take(self, images: int, size: int) -> Held:
        self._add(images, size)
        return Held(self, images, size)

    def _add(self, images: int, size: int) -> None:
        self._images += images
        self._size += size
        _images_in_flight.inc(images)
        _bytes_in_flight.inc(size)
