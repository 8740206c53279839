"""Decodes images beside the event loop, on as many threads as there are cores."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from prometheus_client import Gauge, Histogram

from sightsmith.errors import InvalidArgumentError, ResourceExhaustedError
from sightsmith.images import ImageError, ImageLimits, decode_square
from sightsmith_inference.tensors import Pixels

_in_flight = Gauge("sightsmith_inference_images_in_flight", "Images that were accepted and are not answered yet.")
_seconds = Histogram("sightsmith_inference_decode_seconds", "Time to decode one image, without waiting for a thread.")


class Decoder:
    """Decodes images, and bounds how many are worked on at once."""

    def __init__(self, limits: ImageLimits, threads: int, max_images: int) -> None:
        """Prepares the threads.

        Args:
            limits: what an image may be.
            threads: how many images are decoded at the same time.
            max_images: how many images may wait, be decoded or be with the inference server in all.
        """
        self._limits = limits
        # Pillow decodes and resizes without the interpreter lock, so threads do use the cores.
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._max_images = max_images
        self._images = 0

    @property
    def images(self) -> int:
        """How many images are being worked on."""
        return self._images

    @contextmanager
    def room_for(self, count: int) -> Iterator[None]:
        """Holds room for images until they are answered.

        Raises:
            ResourceExhaustedError: if there is none: refusing at once is kinder than answering too late.
        """
        if self._images + count > self._max_images:
            raise ResourceExhaustedError(
                f"{self._images} images are being worked on and {count} more are too many; try again later",
                reason="OVERLOADED",
                metadata={"limit": str(self._max_images)},
            )
        self._images += count
        _in_flight.inc(count)
        try:
            yield
        finally:
            self._images -= count
            _in_flight.dec(count)

    async def decode(self, image: bytes, side: int, field: str) -> Pixels:
        """Decodes an image to [side, side, 3].

        Args:
            image: the encoded image.
            side: side of the square in pixels.
            field: where the image stands in the request.

        Raises:
            InvalidArgumentError: naming the field, if the bytes are not an image within the limits.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._decode, image, side)
        except ImageError as error:
            raise _invalid(error, field) from error

    def close(self) -> None:
        """Lets the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _decode(self, image: bytes, side: int) -> Pixels:
        with _seconds.time():
            return decode_square(image, side, self._limits)


def _invalid(error: ImageError, field: str) -> InvalidArgumentError:
    invalid = InvalidArgumentError.of_field(field, str(error), error.reason)
    invalid.metadata = error.metadata
    return invalid
