"""Reading the files of an import: slow work that waits for disks, done in a thread of its own."""

import asyncio
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

from sightsmith_labeling.formats.catalogue import FORMATS, recognise
from sightsmith_labeling.formats.file_trees import ReportingTree
from sightsmith_labeling.formats.image_files import is_image
from sightsmith_labeling.formats.records import FormatError, ImportedImage, ReadLimits, Rejection
from sightsmith_labeling.imports.incoming import StoredBytes
from sightsmith_labeling.imports.own_images import OwnImages

# As much as is written by one transaction: enough that its cost is shared, few enough that a job stops soon.
_BATCH_RECORDS = 5000
_BATCH_BYTES = 32 * 1024 * 1024
# What an annotation or a problem takes as an object, measured with boxes and rounded up.
_PART_BYTES = 400

OpenTree = Callable[[], AbstractContextManager[ReportingTree]]


@dataclass(frozen=True)
class LoadedImage:
    """An image of an import with its bytes, where the import has them.

    Attributes:
        data: the encoded image, cut off after the largest size that is taken; None if it is not among the files.
        stored: its bytes, if they are stored here already.
    """

    image: ImportedImage
    data: bytes | None
    stored: StoredBytes | None = None


Record = LoadedImage | Rejection


class FilesSource:
    """The records of files, always the same ones in the same order, read ahead while others are worked on.

    Attributes:
        format: name of the format; empty until it was recognised.
        has_images: whether there are images among the files; known with the first batch.
        to_recall: how many of the first records an earlier worker has dealt with; they come without their bytes.
        position: how many were returned.
        total: how many there are, as far as the format knows; 0 where only the end tells it.
    """

    is_by_name = True

    def __init__(
        self,
        open_tree: OpenTree,
        format_name: str,
        limits: ReadLimits,
        max_image_bytes: int,
        own: OwnImages,
        scratch: Path,
        position: int,
    ) -> None:
        self._open_tree = open_tree
        self._limits = limits
        # One byte more, so that an image that is too large is seen to be.
        self._image_bytes = max_image_bytes + 1
        self._own = own
        self._scratch = scratch
        self.format = format_name
        self.has_images = False
        self.to_recall = position
        self.position = 0
        self.total = 0
        # One thread for all of it: a reader may keep things that no other thread may touch.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="import")
        self._records = self._read()
        self._ahead = self._begin_batch()

    async def next(self) -> list[Record]:
        """The next records; empty at the end.

        Raises:
            FormatError: if the import as a whole cannot be read.
        """
        batch = await asyncio.shield(self._ahead)
        if batch:
            self._ahead = self._begin_batch()
            self.position += len(batch)
            if 0 < self.total < self.position:
                self.total = self.position
        urls = [record.image.source for record in batch if isinstance(record, LoadedImage) and record.data is None]
        if not (own := await self._own.find(urls)):
            return batch
        return [
            _with_bytes(record, own.get(record.image.source)) if isinstance(record, LoadedImage) else record
            for record in batch
        ]

    async def aclose(self) -> None:
        """Ends the reading, and returns when its files are closed."""
        await asyncio.gather(self._ahead, return_exceptions=True)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._records.close)
        self._thread.shutdown(wait=False)

    def _begin_batch(self) -> "asyncio.Future[list[Record]]":
        return asyncio.get_running_loop().run_in_executor(self._thread, read_batch, self._records)

    def _read(self) -> Generator[Record, None, None]:
        """Every record; what the files left out comes first."""
        with self._open_tree() as tree:
            self.has_images = any(map(is_image, tree.names()))
            found = FORMATS[self.format] if self.format else recognise(tree)
            self.format = found.name
            left_out = list(tree.skipped)
            yield from left_out
            records = found.read(tree, self._limits, self._scratch, partial(self._expect, len(left_out)))
            for number, record in enumerate(records, start=len(left_out)):
                is_new = number >= self.to_recall
                yield record if isinstance(record, Rejection) else self._loaded(tree, record, is_new)

    def _expect(self, left_out: int, count: int) -> None:
        self.total = left_out + count

    def _loaded(self, tree: ReportingTree, image: ImportedImage, with_bytes: bool) -> Record:
        if image.file is None or not with_bytes:
            return LoadedImage(image, None)
        try:
            with tree.open(image.file) as file:
                return LoadedImage(image, file.read(self._image_bytes))
        except FileNotFoundError:
            return Rejection(image.place, "ERROR_IMAGE_NOT_FOUND", f"{image.file} is not there any more")
        except FormatError as error:
            return Rejection(image.place, error.code, error.message)


def _with_bytes(record: LoadedImage, stored: StoredBytes | None) -> LoadedImage:
    return replace(record, stored=stored) if stored is not None else record


def read_batch(records: Iterator[Record]) -> list[Record]:
    """The next records, as many as are worked on at once; none at the end."""
    batch: list[Record] = []
    size = 0
    for record in islice(records, _BATCH_RECORDS):
        batch.append(record)
        size += _size(record)
        if size >= _BATCH_BYTES:
            break
    return batch


def _size(record: Record) -> int:
    """About how many bytes a record takes."""
    if isinstance(record, Rejection):
        return _PART_BYTES
    image = record.image
    parts = 1 + len(image.annotations) + len(image.problems) + len(image.notes)
    return len(record.data or b"") + _PART_BYTES * parts
