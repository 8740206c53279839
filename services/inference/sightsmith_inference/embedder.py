"""Embeddings of images: the features that a standing backbone gives."""

import asyncio
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from prometheus_client import Counter

from sightsmith.errors import InvalidArgumentError, NotFoundError, SightsmithError, UnavailableError
from sightsmith.names import BackboneName
from sightsmith.objects import Objects, image_key
from sightsmith_inference.backbones import Backbone, Backbones
from sightsmith_inference.decoding import Decoder
from sightsmith_inference.errors import ModelNotServableError
from sightsmith_inference.room import Room
from sightsmith_inference.settings import InferenceSettings
from sightsmith_inference.tensors import Pixels
from sightsmith_inference.together import together
from sightsmith_inference.triton import ModelRunner

Vector = npt.NDArray[np.float32]
"""Shape [features]."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_images = Counter("sightsmith_inference_embedded_images_total", "Images that were embedded or refused.", ["outcome"])


@dataclass(frozen=True)
class StoredImage:
    """An image that lies in the object store, by the SHA-256 of its bytes."""

    sha256: str


_NamedImage = tuple[bytes | StoredImage, str]
"""An image, and where it stands in the request."""


class Embedder:
    """Embeds images."""

    def __init__(
        self,
        settings: InferenceSettings,
        backbones: Backbones,
        objects: Objects,
        room: Room,
        decoder: Decoder,
        triton: ModelRunner,
    ) -> None:
        self._settings = settings
        self._backbones = backbones
        self._objects = objects
        self._room = room
        self._decoder = decoder
        self._triton = triton

    async def embed(
        self, name: BackboneName, images: Sequence[bytes | StoredImage], seconds: float | None
    ) -> Sequence[Vector | SightsmithError]:
        """Embeds images; one that cannot be read has an error in place of its embedding.

        Args:
            name: the backbone.
            images: encoded, or where they lie.
            seconds: how long the answer may take; None for as long as the settings allow.

        Raises:
            InvalidArgumentError: if there are too many images.
            NotFoundError: if there is no such backbone.
            ResourceExhaustedError: if too many images are being worked on.
            UnavailableError: if the backbone, Triton or the object store does not answer now.
        """
        if len(images) > self._settings.max_batch_images:
            rule = f"must be at most {self._settings.max_batch_images} images, not {len(images)}"
            raise InvalidArgumentError.of_field("images", rule)
        longest = self._settings.triton_timeout_seconds
        deadline = time.monotonic() + (longest if seconds is None else min(seconds, longest))
        backbone = self._backbones.ready(name)
        named = [(image, f"images[{index}]") for index, image in enumerate(images)]
        # While Triton works on one chunk, the next ones are read and decoded; more than a few would wait in line.
        few = asyncio.Semaphore(self._settings.max_chunks_in_flight)

        async def embed_chunk(chunk: Sequence[_NamedImage]) -> list[Vector | SightsmithError]:
            async with few:
                return await self._embed_chunk(backbone, chunk, deadline)

        with self._room.take(len(images), sum(len(image) for image in images if isinstance(image, bytes))):
            chunks = await together(embed_chunk(chunk) for chunk in _chunks(named, backbone.max_batch_size))
        results = [result for chunk in chunks for result in chunk]
        refused = sum(isinstance(result, SightsmithError) for result in results)
        _images.labels("refused").inc(refused)
        _images.labels("embedded").inc(len(results) - refused)
        return results

    async def _embed_chunk(
        self, backbone: Backbone, images: Sequence[_NamedImage], deadline: float
    ) -> list[Vector | SightsmithError]:
        squares = await together(self._decode(backbone, image, field) for image, field in images)
        pixels = [square for square in squares if not isinstance(square, SightsmithError)]
        vectors = iter(await self._infer(backbone, np.stack(pixels), deadline) if pixels else ())
        return [square if isinstance(square, SightsmithError) else next(vectors) for square in squares]

    async def _decode(self, backbone: Backbone, image: bytes | StoredImage, field: str) -> Pixels | SightsmithError:
        try:
            data = await self._read(image, field) if isinstance(image, StoredImage) else image
            return await self._decoder.decode(data, backbone.image_side, field)
        except (InvalidArgumentError, NotFoundError) as error:
            return error

    async def _read(self, image: StoredImage, field: str) -> bytes:
        if _SHA256.fullmatch(image.sha256) is None:
            raise InvalidArgumentError.of_field(f"{field}.sha256", "must be 64 lower-case hexadecimal digits")
        try:
            return await self._objects.get(image_key(image.sha256))
        except FileNotFoundError:
            raise NotFoundError(f"the image {image.sha256}") from None

    async def _infer(self, backbone: Backbone, pixels: Pixels, deadline: float) -> npt.NDArray[np.float32]:
        try:
            (features,) = await self._triton.infer(backbone, pixels, max(deadline - time.monotonic(), 0))
        except UnavailableError:
            self._backbones.wake()
            raise
        except ModelNotServableError as error:
            raise UnavailableError(error.message, reason=error.reason) from error
        return features


def _chunks(images: Sequence[_NamedImage], size: int) -> Iterator[Sequence[_NamedImage]]:
    return (images[begin : begin + size] for begin in range(0, len(images), size))
