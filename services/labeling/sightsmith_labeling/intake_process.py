"""What is done in the processes of intake. They import little, so that they begin soon and are small."""

import signal
from dataclasses import dataclass

from sightsmith.images import ImageLimits
from sightsmith.memory import keep_freed_memory
from sightsmith.objects import Objects, image_key, thumbnail_key
from sightsmith_labeling.kept_image import KeptImage, examine


@dataclass(frozen=True)
class Workplace:
    """What a process needs for all images: where they are kept, and what may be one."""

    objects: Objects
    limits: ImageLimits
    thumbnail_side: int


# A process of a pool is given its tasks as calls of functions; what they have in common has no other place.
_workplace: Workplace | None = None


def begin(workplace: Workplace) -> None:
    """Prepares the process."""
    global _workplace
    _workplace = workplace
    keep_freed_memory()
    # Ctrl-C reaches all processes of a terminal; the parent decides what becomes of the work that is begun.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def keep(source: str, data: bytes) -> KeptImage:
    """Checks an image and stores its bytes and its thumbnail; what is stored already stays.

    Raises:
        ImageError: if it is not an image that is taken.
        UnavailableError: if the object store cannot be reached.
    """
    kept, thumbnail = _examine(source, data)
    objects = _here().objects
    # The image last: where it is, its thumbnail is too.
    objects.put_once_from_thread(thumbnail_key(kept.sha256), thumbnail)
    objects.put_once_from_thread(image_key(kept.sha256), data)
    return kept


def thumbnail_of(data: bytes) -> bytes:
    """The small picture of an image: a JPEG.

    Raises:
        ImageError: if it is not an image that is taken.
    """
    return _examine("", data)[1]


def _examine(source: str, data: bytes) -> tuple[KeptImage, bytes]:
    return examine(source, data, _here().thumbnail_side, _here().limits)


def _here() -> Workplace:
    if _workplace is None:
        raise RuntimeError("the process was not prepared")
    return _workplace
