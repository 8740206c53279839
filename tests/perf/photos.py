"""The photographs that the benchmark is run on: `photos.zip`, which holds `photos/{train,test}/<label>/*.jpg`."""

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ARCHIVE = "photos.zip"


@contextmanager
def unpacked_photos(data_dir: Path) -> Iterator[Path | None]:
    """Unpacks the photographs for as long as the block lasts.

    Args:
        data_dir: the folder that holds `photos.zip`.

    Yields:
        The folder with `train` and `test` in it; None if there is no such archive.

    Raises:
        zipfile.BadZipFile: if the archive is damaged.
    """
    archive = data_dir / ARCHIVE
    if not archive.is_file():
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="sightsmith-bench-photos-") as folder:
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(folder)
        yield Path(folder, "photos")
