"""The sets of images that the benchmark is run on, each in an archive."""

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PHOTOS = "photos.zip"
"""Labelled photographs: `photos/{train,test}/<label>/*.jpg`."""

LOGOS = "logos.zip"
"""Photographs with boxes around logos: `logos/{train,test}/*.jpg`, and `logos/{train,test}.json` in COCO's format."""


@contextmanager
def unpacked(archive: Path) -> Iterator[Path]:
    """Unpacks an archive for as long as the block lasts.

    Args:
        archive: that has everything in one folder of its own name.

    Yields:
        That folder.

    Raises:
        zipfile.BadZipFile: if the archive is damaged.
    """
    with tempfile.TemporaryDirectory(prefix="sightsmith-bench-images-") as folder:
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(folder)
        yield Path(folder, archive.stem)
