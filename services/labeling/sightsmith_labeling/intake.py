"""Intake: every image that comes in, however it comes, is checked, hashed, measured and stored here."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar, TypeVarTuple

from sightsmith.images import ImageError, ImageLimits
from sightsmith.objects import Objects, image_key, thumbnail_key
from sightsmith_labeling import intake_process
from sightsmith_labeling.kept_image import KeptImage
from sightsmith_labeling.piped_processes import PipedProcesses, ProcessDiedError
from sightsmith_labeling.settings import LabelingSettings

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class IntakeLimits:
    """What an image may be, and how much is worked on at once.

    Attributes:
        image: what is accepted as an image.
        thumbnail_side: longest side of a thumbnail in pixels.
        processes: images that are decoded beside each other, each in a process of its own.
    """

    image: ImageLimits
    thumbnail_side: int
    processes: int

    @classmethod
    def of(cls, settings: LabelingSettings) -> "IntakeLimits":
        """The limits that the settings give."""
        return cls(
            image=ImageLimits(settings.max_image_bytes, settings.max_image_pixels, settings.min_image_side),
            thumbnail_side=settings.thumbnail_side,
            processes=settings.intake_processes,
        )


class Intake:
    """Takes images in. Its limits hold for everything that one process takes in.

    Images are decoded in processes of their own, which begin when they are needed: they use all cores, decoding takes
    many times an image's encoded size only in so many of them, and an image on which a decoder crashes harms no other.
    """

    def __init__(self, objects: Objects, limits: IntakeLimits) -> None:
        self._objects = objects
        workplace = intake_process.Workplace(objects, limits.image, limits.thumbnail_side)
        self._processes = PipedProcesses(limits.processes, partial(intake_process.begin, workplace))

    async def keep(self, source: str, data: bytes) -> KeptImage:
        """Checks an image and stores its bytes and its thumbnail; what is stored already stays.

        Raises:
            ImageError: if it is not an image that is taken.
            UnavailableError: if the object store cannot be reached.
        """
        return await self._run(intake_process.keep, source, data)

    async def thumbnail(self, sha256: str) -> bytes:
        """The small picture of an image that is stored: a JPEG. It is made now if the image came before thumbnails did.

        Raises:
            FileNotFoundError: if the image's bytes are not stored.
            UnavailableError: if the object store cannot be reached.
        """
        try:
            return await self._objects.get(thumbnail_key(sha256))
        except FileNotFoundError:
            data = await self._objects.get(image_key(sha256))
        thumbnail = await self.shrunk(data)
        await self._objects.put_once(thumbnail_key(sha256), thumbnail)
        return thumbnail

    async def shrunk(self, data: bytes) -> bytes:
        """The small picture of an image, a JPEG, which is stored nowhere.

        Raises:
            ImageError: if it is not an image that is taken.
        """
        return await self._run(intake_process.thumbnail_of, data)

    def close(self) -> None:
        """Lets go of the processes."""
        self._processes.close()

    async def _run(self, work: Callable[[*_Arguments], _Result], *arguments: *_Arguments) -> _Result:
        try:
            return await self._processes.run(work, *arguments)
        except ProcessDiedError as error:
            raise ImageError("IMAGE_UNREADABLE", "the process that decoded the image crashed on it") from error
