"""Reading the images of a training: every one is fetched, checked and decoded once."""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import obstore
from obstore.store import ObjectStore

from sightsmith.images import ImageError, ImageLimits, decode_square, decode_square_with_opacity
from sightsmith_training.engine.contract import Violation
from sightsmith_training.engine.errors import TrainingError
from sightsmith_training.engine.samples import Pixels
from sightsmith_training.engine.specification import SpecEntry


@dataclass(frozen=True)
class UnusableImage:
    """An image of which nothing can be learned.

    Attributes:
        entry: which one.
        reason: `IMAGE_MISSING`, `IMAGE_ALTERED` or why it cannot be decoded, as `sightsmith.images` says it.
        problem: the same in words that follow the image's name.
    """

    entry: SpecEntry
    reason: str
    problem: str


@dataclass(frozen=True)
class ReadImages:
    """What was read.

    Attributes:
        entries: the usable images, in the order in which they were given.
        pixels: of those; mapped from a file.
        unusable: the others.
    """

    entries: list[SpecEntry]
    pixels: Pixels
    unusable: list[UnusableImage]


def read_images(
    store: ObjectStore,
    entries: Sequence[SpecEntry],
    side: int,
    limits: ImageLimits,
    file: Path,
    threads: int,
    max_unusable_fraction: float,
    advance: Callable[[float], None],
    *,
    with_opacity: bool = False,
) -> ReadImages:
    """Reads and decodes every image into one file that is mapped into memory, so that many images need little of it.

    Args:
        store: holds the encoded images.
        entries: the images to read.
        side: width and height of the decoded squares.
        limits: what an image may be.
        file: where the pixels are kept; it must outlive the returned array.
        threads: how many images are decoded at once.
        max_unusable_fraction: share of the images that may be unusable, 0 to 1.
        advance: called with the share of the images that are done.
        with_opacity: whether pixels have a fourth channel, how opaque they are; else what is transparent gets white.

    Raises:
        TrainingError: TOO_MANY_UNUSABLE_IMAGES as soon as there are too many.
        OSError: if the disk has no room for the pixels.
    """
    pixels = new_pixels(file, (len(entries), side, side, 3 + with_opacity))
    usable: list[SpecEntry] = []
    unusable: list[UnusableImage] = []
    with ThreadPoolExecutor(threads) as pool:
        results = pool.map(partial(read_image, store, side, limits, with_opacity=with_opacity), entries)
        for number, (entry, result) in enumerate(zip(entries, results, strict=True), start=1):
            if isinstance(result, UnusableImage):
                unusable.append(result)
            else:
                pixels[len(usable)] = result
                usable.append(entry)
            if len(unusable) > max_unusable_fraction * len(entries):
                pool.shutdown(wait=False, cancel_futures=True)
                raise too_many_unusable(unusable, len(entries), max_unusable_fraction)
            advance(number / len(entries))
    return ReadImages(usable, pixels[: len(usable)], unusable)


def new_pixels(file: Path, shape: tuple[int, int, int, int]) -> Pixels:
    """A file of pixels, mapped into memory. All of its space is taken at once.

    To a file without its space a full disk is not an error: the write into memory that does not fit ends the process by
    a signal.

    Raises:
        OSError: if there is too little room for it.
    """
    pixels = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)
    with file.open("r+b") as mapped:
        os.posix_fallocate(mapped.fileno(), 0, file.stat().st_size)
    return pixels


def read_image(
    store: ObjectStore, side: int, limits: ImageLimits, entry: SpecEntry, *, with_opacity: bool = False
) -> Pixels | UnusableImage:
    """Fetches an image, checks it, and decodes it to a square of shape [side, side, 3], or 4 with opacity."""
    try:
        data = bytes(obstore.get(store, entry.key).bytes())
    except FileNotFoundError:
        return UnusableImage(entry, "IMAGE_MISSING", "is not in the object store")
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        return UnusableImage(entry, "IMAGE_ALTERED", "has other bytes than the snapshot recorded")
    decode = decode_square_with_opacity if with_opacity else decode_square
    try:
        return decode(data, side, limits)
    except ImageError as error:
        return UnusableImage(entry, error.reason, f"cannot be used: {error}")


def too_many_unusable(unusable: Sequence[UnusableImage], images: int, limit: float) -> TrainingError:
    """What is said where more than that share of the images cannot be used; there is at least one."""
    first = unusable[0]
    return TrainingError(
        "TOO_MANY_UNUSABLE_IMAGES",
        f"more than {limit:.0%} of {images} images cannot be used; the first: {first.entry.image} {first.problem}",
        [Violation(field=image.entry.image, description=image.problem) for image in unusable],
        unusable=len(unusable),
        images=images,
        max_unusable_fraction=limit,
    )
