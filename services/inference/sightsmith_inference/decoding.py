"""Decodes images beside the event loop, on as many threads as there are cores."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from prometheus_client import Histogram

from sightsmith.errors import InvalidArgumentError
from sightsmith.images import ImageError, ImageLimits, decode_square
from sightsmith_inference.tensors import Pixels

_seconds = Histogram("sightsmith_inference_decode_seconds", "Time to decode one image, without waiting for a thread.")


class Decoder:
    """Decodes images."""

    def __init__(self, limits: ImageLimits, threads: int) -> None:
        """Prepares the threads.

        Args:
            limits: what an image may be.
            threads: how many images are decoded at the same time.
        """
        self._limits = limits
        # Pillow decodes and resizes without the interpreter lock, so threads do use the cores.
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="decode")

    async def decode(self, image: bytes, side: int, field: str) -> Pixels:
        """Decodes an image to [side, side, 3]; one that waits for a thread when this is cancelled is never decoded.

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
